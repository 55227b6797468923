"""The documented set-ups are real: every command is valid, and its networks fit together."""

import re
import shlex
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from ganlib.core.domains_schema import DomainsGamesParams
from ganlib.core.params import DCGAN_SIZES, load_domains_params, load_params
from ganlib.core.schema import CriticLoss, GamesParams, LabelledLoss, Params
from ganlib.networks.families import build_discriminator, build_generator, discriminator_config, generator_config
from ganlib.training.game import build_networks, translating_game_of
from tests.conftest import ROOT, edit_params

NAMES = ("README.md", *(f"docs/{name}.md" for name in ("setups", "games", "data", "training", "model", "gallery")))
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}


def commands(text: str) -> list[dict[str, str]]:
    """Return the changes of every `dvc exp run` on a page, by key."""
    changes: list[dict[str, str]] = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:3] == ["dvc", "exp", "run"]:
                rest = [word for word in words[3:] if word != "--queue"]
                assert rest[0::2] == ["-S"] * (len(rest) // 2), line
                pairs = [word.split("=", 1) for word in rest[1::2]]
                assert len(dict(pairs)) == len(pairs), f"a key twice: {line}"
                changes.append(dict(pairs))
    return changes


def applied(changes: dict[str, str], folder: Path) -> Params:
    """Check params.yaml with the changes, a sweep's list of values by its first."""
    path = folder / "params.yaml"
    single = {key: value if value.startswith("[") else value.split(",")[0] for key, value in changes.items()}
    path.write_text(edit_params((ROOT / "params.yaml").read_text(encoding="utf-8"), single))
    return load_params(path)


SETUPS = [(name, changes) for name, page in PAGES.items() for changes in commands(page)]


@pytest.mark.parametrize(("name", "changes"), SETUPS, ids=lambda value: value if isinstance(value, str) else None)
def test_every_documented_command_is_valid_and_its_networks_fit(name: str, changes: dict[str, str], tmp_path: Path):
    params = applied(changes, tmp_path)
    size, channels, counts = params.data.image_size, params.data.channels, {"a": 1, "b": 1}
    generator = build_generator(**generator_config(params.model, size, channels, counts))
    discriminator = build_discriminator(**discriminator_config(params.model, size, channels, len(counts)))
    labels = torch.tensor([0, 1]) if generator.class_names else None
    with torch.no_grad():
        images = generator(torch.randn(2, params.model.latent_dim), labels)
        assert images.shape == (2, channels, size, size)
        assert discriminator(images, labels).shape == (2,)


def test_the_page_has_every_family_and_every_conditional_mode(tmp_path: Path):
    models = [applied(changes, tmp_path).model for changes in commands(PAGES["docs/setups.md"])]
    assert {model.architecture for model in models} == {"dcgan", "mlp", "resnet"}
    assert {model.conditional for model in models} == {"none", "concat", "projection", "auxiliary"}
    assert len(models) == PAGES["docs/setups.md"].count("\n## ") == PAGES["docs/setups.md"].count("dvc exp run")


def test_the_mnist_papers_networks_have_its_layers(tmp_path: Path):
    page = PAGES["docs/setups.md"]
    (changes,) = commands(page[page.index("## The MNIST paper") : page.index("## The Keras")])
    model = applied(changes, tmp_path).model
    generator = build_generator(**generator_config(model, 28, 1))
    assert [tuple(weight.shape) for weight in weights(generator)] == [(6272, 100), (128, 64, 5, 5), (64, 1, 5, 5)]
    assert kinds(generator) == [
        "Projection",
        "BatchNorm2d",
        "ReLU",
        "Doubling",
        "BatchNorm2d",
        "ReLU",
        "Doubling",
    ]
    discriminator = build_discriminator(**discriminator_config(model, 28, 1))
    assert [tuple(weight.shape) for weight in weights(discriminator)] == [(64, 1, 5, 5), (128, 64, 5, 5), (1, 6272)]
    assert kinds(discriminator) == ["Halving", "ELU", "Halving", "BatchNorm2d", "ELU", "Linear"]


def weights(network: torch.nn.Module) -> list[torch.Tensor]:
    return [weight for weight in network.parameters() if weight.dim() > 1]


def kinds(network: torch.nn.Module) -> list[str]:
    return [type(module).__name__ for module in network.modules() if not list(module.children())]


def test_the_readme_is_short_and_every_link_between_pages_leads_somewhere():
    assert PAGES["README.md"].count("\n") < 200
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+)[^):]*\)", text) + re.findall(r'src="([^"]+)"', text)
        assert [link for link in links if not (page.parent / link).exists()] == [], page


def test_sizes_on_the_page_are_reached(tmp_path: Path):
    sizes = {applied(changes, tmp_path).data.image_size for changes in commands(PAGES["docs/setups.md"])}
    assert sizes <= set(DCGAN_SIZES)


def rows_of_the_table() -> list[dict[str, str]]:
    """Return the changes of every row of README's table that has any: those of its first words in code."""
    rows = [line.split("|")[2] for line in PAGES["README.md"].splitlines() if line.startswith("| ")]
    spans = [found[1] for row in rows if (found := re.search(r"`(-S [^`]*)`", row))]
    return [dict(word.split("=", 1) for word in shlex.split(span)[1::2]) for span in spans]


def of_domains(page: str) -> list[dict[str, str]]:
    """Return the changes of every experiment of the second pipeline on a page."""
    text = page.replace("\\\n", " ").replace("cd domains && dvc exp run", "dvc exp run")
    return commands(text)


ROWS = rows_of_the_table()
DOMAINS = of_domains((ROOT / "docs/domains.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("changes", [*ROWS, *DOMAINS], ids=lambda changes: " ".join(map("=".join, changes.items())))
def test_every_row_and_every_command_of_two_domains_is_valid(changes: dict[str, str], tmp_path: Path):
    game = changes.get("game", "pix2pix" if changes in DOMAINS else "gan")
    if game not in DomainsGamesParams.model_fields:
        applied(changes, tmp_path)
        return
    path = tmp_path / "params.yaml"
    path.write_text(edit_params((ROOT / "domains/params.yaml").read_text(encoding="utf-8"), changes))
    params = load_domains_params(path)
    channels = {"a": params.pairs.channels_a, "b": params.pairs.channels_b}
    size, smaller = params.pairs.image_size, params.pairs.factor if params.pairs.kind == "lowres" else 1
    hidden = np.zeros((size, size), bool)
    hidden[8:-8, 8:-8] = True
    classes = {"class_names": ["x", "y"], "counts_per_class": {"train": {"x": 90, "y": 90}}}
    meta = {side: {"image_size": size, "channels": channels[side], **classes} for side in "ab"}
    meta["a"] |= {"image_size": size // smaller, "vocabulary": ["red"], "length": 3}
    module = translating_game_of(params)
    assert (
        build_networks(module, module.configs(params, {**meta, "hidden": hidden}), 1).keys() == module.BUILDERS.keys()
    )


def test_the_table_has_every_game_and_every_loss():
    games = {changes["game"] for changes in ROWS if "game" in changes}
    assert games == {*GamesParams.model_fields, *DomainsGamesParams.model_fields} - {"gan", "pix2pix"}
    assert "| Pix2Pix, Isola 2017 |" in PAGES["README.md"] and "| `gan`: " in PAGES["README.md"]
    rows = [line for line in PAGES["README.md"].splitlines() if line.startswith("| ")]
    assert not [row for row in rows if "-S " in row and re.search("[A-Z]{7}", row)]  # what was to be filled in
    losses = (*get_args(LabelledLoss), *get_args(CriticLoss))
    assert [loss for loss in losses if f"`{loss}`" not in PAGES["README.md"]] == []
