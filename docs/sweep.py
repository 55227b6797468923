"""Search params with Optuna, in a clone of its own: python docs/sweep.py JOURNAL TRIALS; workers share the journal."""

import subprocess
import sys

import optuna

from ganlib.report.revisions import read_run

storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(sys.argv[1]))
sampler = optuna.samplers.TPESampler(constant_liar=True)  # away from what other workers are at
study = optuna.create_study(study_name="gan", storage=storage, sampler=sampler, load_if_exists=True)
for _ in range(int(sys.argv[2])):
    trial = study.ask()
    chosen = {
        "lr": trial.suggest_float("lr", 1e-4, 2e-3, log=True),
        "loss.r1": trial.suggest_float("loss.r1", 0.01, 1, log=True),
    }
    name, settings = f"trial-{trial.number}", [f"--set-param={key}={value:.3g}" for key, value in chosen.items()]
    if subprocess.run(["dvc", "exp", "run", "--name", name, *settings]).returncode:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, read_run(name).metrics["train_best_domain_fid_to_heldout"])  # in colour: lite0_fid
        subprocess.run(["dvc", "exp", "push", "--no-cache", "origin", name], check=True)
