"""The stages of the pipeline of two domains, domains/dvc.yaml: a command each, `python -m stages.domains.NAME`."""
