"""Shell completion, by a real shell."""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def completed(words: str) -> list[str]:
    """What bash offers after these words."""
    script = f"""
        export PATH={BIN}:$PATH
        eval "$(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 penstock --show-completion bash)"
        COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _penstock_completion penstock
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_commands_options_and_services_are_completed() -> None:
    """What begins so is offered, and nothing else."""
    assert completed("penstock do") == ["down", "doctor"]
    assert "--follow" in completed("penstock logs --f")
    assert completed("penstock logs in") == ["inference", "indexer"]
