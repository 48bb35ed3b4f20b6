"""The benchmarks run from beginning to end, against a server that is always there."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_kind_of_work_gives_a_figure(tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "benchmarks",
        "--servers",
        "pynetdicom",
        "--rounds",
        "1",
        "--seconds",
        "0.05",
    ]
    argv += ["--directory", str(tmp_path), "--budget", "4", "--save", str(tmp_path)]
    for work in ("C-ECHO", "64 contexts", "8 KiB x4", "512 KiB x1"):
        argv += ["--only", work]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["work"] for row in rows] == [
        "C-ECHO",
        "associate + echo + release, 64 contexts",
        "C-STORE 8 KiB x4",
        "C-STORE 512 KiB x1",
        "memory per idle association, 64 contexts",
    ]
    for row in rows:
        assert row["figures"]["pynetdicom"][0] > 0, done.stdout
        assert len(row["figures"]["sink"]) == (0 if row["unit"] == "KiB" else 1)
    assert "| C-ECHO, /s |" in (tmp_path / "RESULTS.md").read_text()
