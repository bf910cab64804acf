"""Libraries that would call home, or look for something newer, when they load: told not to, before they load.

They read these switches when they are imported, so `switch_off` comes first: the command line calls it before anything
heavy is loaded, and whoever loads a model calls it for those who use it as a library.
"""

import os

SWITCHES = {
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # transformers: asks the hub, in a thread, to convert a model's files.
    "DISABLE_TELEMETRY": "1",  # huggingface_hub and what is built on it.
    "DO_NOT_TRACK": "1",  # Whoever heeds it.
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",  # No token of the user's is sent, should anything be.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Environment variables by name; whatever they were before."""


def switch_off() -> None:
    """Set the switches for this process and those it starts."""
    os.environ.update(SWITCHES)
