"""What a kill inside DVC leaves behind, and the line that mends it or tells the way back."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, run

REPAIR = [sys.executable, "-m", "stages.repair"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commit this project's dvc.lock to a repository with a stage that DVC can run at once."""
    shutil.copy(ROOT / "dvc.lock", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {wait: {cmd: sleep 60, params: [lr]}}\n")
    (tmp_path / "params.yaml").write_text("lr: 1\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for command in (["git", "init", "-q", "-b", "main"], ["git", "config", "user.name", "t"]):
        run(command, tmp_path)
    run(["git", "config", "user.email", "t@example.com"], tmp_path)
    run(["dvc", "init", "-q"], tmp_path)
    run(["git", "add", "-A"], tmp_path)
    run(["git", "commit", "-qm", "one"], tmp_path)
    return tmp_path


def test_nothing_is_said_and_nothing_touched_where_all_is_well(here: Path):
    result = run(REPAIR, here)
    assert result.stdout + result.stderr == "" and run(["git", "status", "--porcelain"], here).stdout == ""


@pytest.mark.parametrize("kept", [0, 30, 2000, 3001])
def test_a_dvc_lock_that_was_cut_off_is_the_committed_one_again(here: Path, kept: int):
    whole = (here / "dvc.lock").read_bytes()
    (here / "dvc.lock").write_bytes(whole[:kept])
    broken = run(["dvc", "status"], here, check=False)
    said = run(REPAIR, here).stderr
    if broken.returncode:  # cut between two entries, it is whole for DVC
        assert said.startswith("mended: dvc.lock was cut off") and said.count("\n") == 1
        assert (here / "dvc.lock").read_bytes() == whole
    assert run(["dvc", "status"], here, check=False).returncode == 0
    assert broken.returncode or said == ""


def test_the_lock_of_two_domains_is_mended_too(here: Path):
    (here / "domains").mkdir()
    whole = (ROOT / "domains/dvc.lock").read_bytes()
    (here / "domains/dvc.lock").write_bytes(whole)
    for command in (["git", "add", "domains"], ["git", "commit", "-qm", "two"]):
        run(command, here)
    for lock, kept in (("domains/dvc.lock", 400), ("dvc.lock", 30)):
        (here / lock).write_bytes((here / lock).read_bytes()[:kept])
    said = run(REPAIR, here).stderr
    assert said.count("mended: ") == 2 and "mended: domains/dvc.lock was cut off" in said
    assert (here / "domains/dvc.lock").read_bytes() == whole


def test_without_a_committed_lock_the_mend_is_named(here: Path):
    run(["git", "rm", "-q", "--cached", "dvc.lock"], here)
    (here / "dvc.lock").write_text("schema: '2.0'\nstages:\n  prepare:\n    cm")
    result = run(REPAIR, here, check=False)
    assert result.returncode == 1 and result.stderr.startswith(
        "error: dvc.lock was cut off by a kill, and git has none"
    )


def test_a_list_of_running_commands_that_was_cut_off_is_removed(here: Path):
    (here / ".dvc/tmp").mkdir(exist_ok=True)
    (here / ".dvc/tmp/rwlock").write_text('{"write": {"a')
    assert "rwlock" in run(["dvc", "repro"], here, check=False).stderr
    assert "rwlock was cut off by a kill, and is removed" in run(REPAIR, here).stderr
    assert not (here / ".dvc/tmp/rwlock").exists()


def test_a_branch_that_an_experiment_left_is_named_with_the_way_back(here: Path):
    experiment = subprocess.Popen(
        [Path(sys.executable).with_name("dvc"), "exp", "run", "-S", "lr=20"],
        cwd=here,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # 20, not 2: of a file that is as long and as old as the committed one, git does not see that it differs.
    while not any(child.name() == "sleep" for child in psutil.Process(experiment.pid).children(recursive=True)):
        assert experiment.poll() is None
        time.sleep(0.1)
    experiment.terminate()
    experiment.wait()
    said = run(REPAIR, here).stderr
    assert "HEAD is detached" in said
    back = said.split("Back to main: ")[1]
    run(["sh", "-c", back], here)
    assert run(["git", "symbolic-ref", "--short", "HEAD"], here).stdout == "main\n"
    assert (here / "params.yaml").read_text() == "lr: 1\n" and run(REPAIR, here).stderr == ""


ENDS = "import time; from ganlib.core.console import end_with_parent; end_with_parent(); print('on', flush=True); "
STARTS = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ENDS + 'time.sleep(60)'!r}])"


def test_a_stage_ends_with_the_process_that_started_it():
    parent = subprocess.Popen([sys.executable, "-c", STARTS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert parent.stdout and parent.stdout.readline() == b"on\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    assert child.wait(10) in (-15, None)  # None: it is not ours to ask
    assert parent.stderr and b"the process that had started this one is gone" in parent.stderr.read()
