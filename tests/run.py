#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the unit tests (programs of `check`) and the component tests (pytest), and adds them up.

    tests/run.py BUILD_DIRECTORY [PYTEST OPTIONS]

The last line is `N passed, N failed`, with `, N skipped` where something was.  Exit code 0 only if nothing failed.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parents[1]
UNIT_TIMEOUT = 600
COMPONENT_TIMEOUT = 3600
CHECK_LINE = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.MULTILINE)


def run_unit(program):
    """(passed, failed, output) of one program; one that crashes or hangs counts as one failure."""
    try:
        done = subprocess.run([program], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=UNIT_TIMEOUT)
    except subprocess.TimeoutExpired:
        return 0, 1, f"{program.name}: did not end in {UNIT_TIMEOUT} s\n"
    checks = failed = 0
    for line in CHECK_LINE.finditer(done.stdout):
        checks += int(line[1])
        failed += int(line[2]) + int(line[3])
    if done.returncode != 0 and failed == 0:
        failed = 1
    if checks == 0 and failed == 0:
        return 0, 1, f"{program.name}: ran no check\n{done.stdout}"
    return max(checks - failed, 0), failed, done.stdout


def unit_tests(build):
    programs = sorted(build.glob("tests/test_*"))
    programs = [program for program in programs if os.access(program, os.X_OK) and program.is_file()]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, result in zip(programs, pool.map(run_unit, programs)):
            passed += result[0]
            failed += result[1]
            print(f"{program.name}: {result[0]} passed, {result[1]} failed", flush=True)
            if result[1]:
                print(result[2], flush=True)
    return passed, failed


def component_tests(build, options):
    environment = {**os.environ, "AGENT": str(build / "rauc-ocpp-agent"), "MOCK_CSMS": str(build / "mock-csms"),
                   "DUMP_MESSAGES": str(build / "tests" / "dump_messages"),
                   "PRINT_JOB_TABLE": str(build / "tests" / "print_job_table"),
                   "UPLOAD_FILE": str(build / "tests" / "upload_file"), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(os.cpu_count()),
                        "-rs", f"--junitxml={report}", "tests/component", *options], cwd=TOP, env=environment,
                       stdin=subprocess.DEVNULL, timeout=COMPONENT_TIMEOUT, check=False)
        if not report.exists():
            return 0, 1, 0
        suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    tests, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    return max(tests - failed - skipped, 0), failed, skipped


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if os.geteuid() != 0:
        sys.exit("the component tests run a real RAUC service, which needs root")
    build = pathlib.Path(sys.argv[1]).resolve()
    unit = unit_tests(build)
    component = component_tests(build, sys.argv[2:])
    passed, failed, skipped = unit[0] + component[0], unit[1] + component[1], component[2]
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
