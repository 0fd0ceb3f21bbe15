import os
import subprocess
import sys
from pathlib import Path


def test_sharded_batches_are_right_and_not_gathered() -> None:
    flags = os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=4"
    script = Path(__file__).with_name("sharded.py")
    ran = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.rstrip().endswith("done")
    assert ran.stdout.count("sharded jit without a gather") == 6
