"""The model card: README.md of a model's folder, in the form that model hubs read."""

import json
from collections.abc import Mapping
from typing import Any

CARD = """\
---
library_name: ganlib
pipeline_tag: unconditional-image-generation
tags:
- gan
- {architecture}
- image-generation
- pytorch
- safetensors
---

# {title}

The {checkpoint} weights of a training, step {step}{average}. `generator.json` and `discriminator.json` rebuild the
networks, and the `.safetensors` files beside them hold the weights. To draw pictures, where ganlib is installed:

```sh
ganlib generate FOLDER --count 20 --seed 7 --out pictures{asking}
```

```python
from ganlib.networks.families import load_generator

pictures = load_generator("FOLDER").sample(20, seed=7)  # PIL images
```

No license is chosen: whoever shares this model adds `license:` to the lines on top, and says what the images were.
{watched}
## The generator

```json
{config}
```
"""
WATCHED = """
## What the training measured

At step {step}, of the generator's moving average against held-out images:

| figure | value |
|---|---|
{rows}
"""


def model_card(config: Mapping[str, Any], published: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """Return the card of a generator with this configuration, of what published.json and training.json say.

    What the training measured is of moving averages: weights that are none have no figures here.
    """
    checkpoint, step, names = published["published"], published["published_step"], config.get("class_names")
    colour = "grey" if config["channels"] == 1 else "colour"
    prefix = f"train_{checkpoint}_"
    rows = [
        f"| `{key.removeprefix(prefix)}` | {value} |"
        for key, value in sorted(training.items())
        if key.startswith(prefix) and key != f"{prefix}step"
    ]
    return CARD.format(
        architecture=config["architecture"],
        title=f"{config['architecture'].upper()} for {colour} images of {config['image_size']} pixels"
        + (f", {len(names)} classes" if names else ""),
        checkpoint=checkpoint,
        step=f"{step:,}",
        average=", as a moving average" if published["published_ema"] else "",
        asking="    # of some classes: --classes NAME=5,OTHER=3" if names else "",
        watched=WATCHED.format(step=f"{step:,}", rows="\n".join(rows)) if published["published_ema"] and rows else "",
        config=json.dumps(config, indent=2, sort_keys=True),
    )
