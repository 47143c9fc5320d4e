"""The embedded servers and their supervisor, each on a data directory of its own."""

import asyncio
import importlib.util
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psutil
import psycopg
import pytest
import redis

from apps.core.embedded import environment, preflight, setup
from apps.core.embedded.attach import attach_env
from apps.core.embedded.children import RunAs, child_setup, server_user
from apps.core.embedded.credentials import load_or_create
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.leftovers import RUN_MARK, Started, end_leftovers, record
from apps.core.embedded.lock import DataDirLock, holder
from apps.core.embedded.logs import last_line, open_log
from apps.core.embedded.paths import MARKER, REPOSITORY, DataDir
from apps.core.embedded.reset import remove_data
from apps.core.embedded.roles import APP, OWNER, SYSTEM, RolePasswords, ensure_roles
from apps.core.embedded.servers import EmbeddedServers
from apps.core.embedded.supervisor import Service, Supervisor


class Heard:
    """Collects what a command would have said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str = "", *, style: str | None = None) -> None:
        self.lines.append(text)


@pytest.fixture
def files(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "data")


class TestDataDir:
    def test_sockets_live_inside_when_the_path_is_short(self, tmp_path: Path) -> None:
        short = Path("/tmp") / f"cyb{os.getpid()}"
        try:
            assert DataDir(short).run == short / "run"
        finally:
            (short / "run").rmdir()
            short.rmdir()

    @pytest.mark.parametrize("name", ["x" * 110, "a b", "100%", "ü"])
    def test_sockets_move_when_the_path_is_long_or_odd(self, tmp_path: Path, name: str) -> None:
        files = DataDir(tmp_path / name)
        files.create()
        try:
            assert files.root not in files.run.parents
            assert len(str(files.run)) < 60
            assert files.run.stat().st_uid == os.geteuid()
            assert stat.S_IMODE(files.run.stat().st_mode) & 0o066 == 0
        finally:
            files.run.rmdir()

    def test_a_prepared_link_is_not_followed(self, tmp_path: Path) -> None:
        files = DataDir(tmp_path / ("x" * 110))
        files.run.symlink_to(tmp_path)
        try:
            with pytest.raises(StartFailed, match="belongs to another user"):
                files.create()
        finally:
            files.run.unlink()

    def test_a_file_in_its_place_is_one_sentence(self, files: DataDir) -> None:
        files.root.write_text("")
        with pytest.raises(StartFailed, match="is a file, not a folder"):
            files.create()

    def test_other_peoples_folders_stay_untouched(self, files: DataDir) -> None:
        files.root.mkdir()
        (files.root / "thesis.txt").write_text("mine")
        with pytest.raises(StartFailed, match=r"already holds other files \(thesis.txt\)"):
            files.create()
        with pytest.raises(StartFailed, match="was not made by Cybernetic"):
            remove_data(files, Heard(), agreed=True)  # type: ignore[arg-type]  # says its lines to the test
        assert [entry.name for entry in files.root.iterdir()] == ["thesis.txt"]

    def test_reset_asks_and_then_removes(self, files: DataDir) -> None:
        files.create()
        heard = Heard()
        with pytest.raises(StartFailed, match="Nothing was removed"):
            remove_data(files, heard, agreed=False)  # type: ignore[arg-type]  # says its lines to the test
        assert (files.root / MARKER).exists()
        remove_data(files, heard, agreed=True)  # type: ignore[arg-type]  # says its lines to the test
        assert not files.root.exists()
        assert heard.lines[-1].startswith(f"Removed {files.root}")


class TestCredentials:
    def test_made_once_and_private(self, files: DataDir) -> None:
        files.create()
        first = load_or_create(files.secrets, cluster_exists=False)
        assert stat.S_IMODE(files.secrets.stat().st_mode) == 0o600
        assert load_or_create(files.secrets, cluster_exists=True) == first
        values = list(vars(first).values())
        assert len(set(values)) == len(values)
        assert first.owner_password not in repr(first)

    def test_a_lost_file_is_not_replaced_under_a_living_database(self, files: DataDir) -> None:
        files.create()
        with pytest.raises(StartFailed, match="is missing but its database exists"):
            load_or_create(files.secrets, cluster_exists=True)
        assert not files.secrets.exists()

    @pytest.mark.parametrize("text", ["", "{", "[]"])
    def test_a_damaged_file_is_one_sentence(self, files: DataDir, text: str) -> None:
        files.create()
        files.secrets.write_text(text)
        with pytest.raises(StartFailed, match="is damaged"):
            load_or_create(files.secrets, cluster_exists=True)
        assert files.secrets.read_text() == text


class TestLock:
    def test_one_owner_at_a_time(self, files: DataDir) -> None:
        files.create()
        with DataDirLock(files.lock):
            found = holder(files.lock)
            assert found is not None
            assert found.pid == os.getpid()
            assert found.process() is not None
            with pytest.raises(StartFailed, match=f"in use by process {os.getpid()}"), DataDirLock(files.lock):
                pass
        assert not files.lock.exists()
        assert holder(files.lock) is None

    def test_a_file_left_by_a_killed_owner_locks_nobody_out(self, files: DataDir) -> None:
        files.create()
        files.lock.write_text('{"pid": 1, "started": 0}')
        assert holder(files.lock) is None
        with DataDirLock(files.lock):
            assert json.loads(files.lock.read_text())["pid"] == os.getpid()


class TestServers:
    def test_unprivileged_roles_on_private_sockets_and_nothing_left(self, files: DataDir) -> None:
        servers = EmbeddedServers(files.root, durable=False)
        given = servers.start()
        try:
            with psycopg.connect(servers.admin_url) as connection:
                rows = connection.execute(
                    "select rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolcanlogin from pg_roles"
                    " where rolname = any(%s) order by 1",
                    [[APP, OWNER, SYSTEM]],
                ).fetchall()
                assert rows == [(name, False, False, False, False, True) for name in (APP, OWNER, SYSTEM)]
                assert connection.execute("show listen_addresses").fetchone() == ("",)
            with psycopg.connect(given["DATABASE_OWNER_URL"]) as connection:
                connection.execute("create schema s; create table s.v (e vector(2)); insert into s.v values ('[1,2]')")
                owner = connection.execute(
                    "select pg_get_userbyid(datdba) from pg_database where datname = 'cybernetic'"
                )
                assert owner.fetchone() == (OWNER,)
            for name in ("DATABASE_APP_URL", "DATABASE_SYSTEM_URL"):
                with psycopg.connect(given[name]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("select * from s.v")
                with psycopg.connect(given[name]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("create table public.t (i int)")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(given["DATABASE_APP_URL"].replace(":", ":x", 2).replace("x//", "//"))
            assert redis.Redis.from_url(given["REDIS_URL"]).ping() is True
            assert given["CELERY_BROKER_URL"].startswith("redis+socket:///")
            with pytest.raises(StartFailed, match="in use by process"):
                EmbeddedServers(files.root).start()
            children = psutil.Process().children()
            if os.geteuid() == 0:
                mine = [child for child in children if str(files.root) in " ".join(child.cmdline())]
                assert {child.uids().real for child in mine} == {65534}
        finally:
            servers.stop()
        assert [path.name for path in files.run.iterdir()] == ["db"] if files.run.exists() else True
        assert not files.lock.exists()
        assert not (files.postgres / "postmaster.pid").exists()
        with EmbeddedServers(files.root) as again, psycopg.connect(again["DATABASE_OWNER_URL"]) as connection:
            assert again == given
            assert connection.execute("select count(*) from s.v").fetchone() == (1,)

    def test_a_killed_owner_takes_its_servers_along_and_the_next_start_works(self, files: DataDir) -> None:
        if sys.platform != "linux":
            pytest.skip("the kernel ties children to their parent on Linux only")
        code = (
            "import sys, time; from pathlib import Path; from apps.core.embedded.servers import EmbeddedServers\n"
            "EmbeddedServers(Path(sys.argv[1])).start(); print('up', flush=True); time.sleep(60)"
        )
        owner = subprocess.Popen(
            [sys.executable, "-c", code, str(files.root)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        with owner:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "up\n"
            children = psutil.Process(owner.pid).children(recursive=True)
            owner.kill()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        with EmbeddedServers(files.root) as given, psycopg.connect(given["DATABASE_APP_URL"]) as connection:
            assert connection.execute("select 1").fetchone() == (1,)

    def test_a_cut_off_creation_starts_over(self, files: DataDir) -> None:
        files.create()
        (files.root / "postgres.new").mkdir()
        (files.root / "postgres.new" / "PG_VERSION").write_text("18\n")
        with EmbeddedServers(files.root, durable=False):
            assert (files.postgres / "PG_VERSION").exists()
        assert not (files.root / "postgres.new").exists()

    @pytest.mark.parametrize(
        ("version", "sentence"), [("16", "was made by PostgreSQL 16, this is 18"), ("18", "is not a complete database")]
    )
    def test_a_cluster_that_cannot_serve_is_one_sentence(self, files: DataDir, version: str, sentence: str) -> None:
        files.create()
        load_or_create(files.secrets, cluster_exists=False)
        files.postgres.mkdir()
        (files.postgres / "PG_VERSION").write_text(version + "\n")
        with pytest.raises(StartFailed, match=sentence):
            EmbeddedServers(files.root).start()
        assert holder(files.lock) is None
        assert [path.name for path in files.postgres.iterdir()] == ["PG_VERSION"]

    def test_roles_on_an_outside_server(self, files: DataDir) -> None:
        passwords = RolePasswords("owner-password", "app-password", "system-password")
        with EmbeddedServers(files.root, durable=False):
            credentials = load_or_create(files.secrets, cluster_exists=True)
            admin = f"postgresql://cybernetic_admin:{credentials.admin_password}@/postgres?host={files.run}/db"
            outside = admin.replace("/postgres?", "/outside?")
            with psycopg.connect(admin, autocommit=True) as connection:
                connection.execute("create database outside template template0")
                connection.execute("create role poor login password 'poor'")
            ensure_roles(outside, passwords)
            ensure_roles(outside, passwords)
            given = environment.outside_database(outside, credentials)
            assert given["DATABASE_APP_URL"].endswith(f"/outside?host={files.run}/db")
            url = outside.replace(f"cybernetic_admin:{credentials.admin_password}", "cybernetic_owner:owner-password")
            with psycopg.connect(url) as connection:
                connection.execute("create schema s; create table s.v (e vector)")
            with pytest.raises(StartFailed, match="may not prepare the database"):
                ensure_roles(outside.replace(f"cybernetic_admin:{credentials.admin_password}", "poor:poor"), passwords)
        with pytest.raises(StartFailed, match="must look like postgresql://"):
            ensure_roles("mysql://x", passwords)


class TestServerUser:
    def test_root_drops_to_a_user_that_still_passes_a_closed_home(self, tmp_path: Path) -> None:
        if os.geteuid() != 0 or sys.platform != "linux":
            pytest.skip("only root on Linux drops to another user")
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        program = home / "program"
        program.write_text(
            "#!/bin/sh\nid -u; test -r /etc/shadow && echo reads; touch /etc/x 2>/dev/null && echo writes; exit 0\n"
        )
        program.chmod(0o755)
        run_as = server_user(tmp_path / "no-cluster", [program])
        assert run_as is not None
        setup = child_setup(signal.SIGKILL, run_as)
        # `test -x` asks access(2), as initdb does before it runs the server binary beside it.
        command = ["sh", "-c", f"test -x {program} && {program}"]
        done = subprocess.run(command, preexec_fn=setup, capture_output=True, text=True, check=False, cwd="/")
        assert done.stdout.split()[0] == str(run_as.uid) != "0"
        assert "writes" not in done.stdout
        assert server_user(tmp_path / "no-cluster", [Path("/usr/bin/env")]) == RunAs(run_as.uid, run_as.gid)


class TestThrowaway:
    def test_the_command_decides_the_exit_code(self) -> None:
        code = "import os, sys, psycopg; psycopg.connect(os.environ['DATABASE_OWNER_URL']); print(os.environ['CYBERNETIC_DATA_DIR']); sys.exit(7)"
        command = [sys.executable, "-m", "apps.core.embedded.throwaway", sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        assert done.returncode == 7
        assert not Path(done.stdout.strip()).exists()


def script(code: str, tmp_path: Path, name: str, *, stage: int = 0, grace_s: float = 5.0) -> Service:
    """A service running a line of Python that sees tmp_path as its working directory."""
    return Service(
        name=name,
        argv=(sys.executable, "-c", code),
        environment={"PATH": os.environ["PATH"]},
        log=tmp_path / f"{name}.log",
        stage=stage,
        cwd=tmp_path,
        grace_s=grace_s,
    )


async def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


PARENT = (
    "import pathlib, os, subprocess, time\n"
    "child = subprocess.Popen(['sleep', '60'])\n"
    "pathlib.Path('lives').open('a').write(f'{os.getpid()} {child.pid}\\n')\n"
    "time.sleep(60)"
)


class TestSupervisor:
    async def test_a_killed_child_comes_back_without_its_orphans(self, tmp_path: Path) -> None:
        said: list[str] = []
        supervisor = Supervisor(tmp_path / "state.json", "run", said.append)
        lives = tmp_path / "lives"
        supervisor.start(script(PARENT, tmp_path, "parent"))
        await until(lambda: lives.exists() and lives.read_text().count("\n") == 1)
        first, grandchild = (int(word) for word in lives.read_text().split())
        assert [entry["pid"] for entry in json.loads((tmp_path / "state.json").read_text())["children"]] == [first]
        os.kill(first, signal.SIGKILL)
        await until(lambda: lives.read_text().count("\n") == 2)
        await until(lambda: gone(grandchild))
        assert supervisor.exits("parent") == 1
        assert said == ["parent was killed by signal 9; restarting it."]
        second = [int(word) for word in lives.read_text().splitlines()[1].split()]
        await supervisor.stop()
        await until(lambda: all(gone(pid) for pid in second))
        assert not (tmp_path / "state.json").exists()

    async def test_stages_stop_from_the_top_and_a_drain_is_honoured(self, tmp_path: Path) -> None:
        code = (
            "import pathlib, signal, sys, time\n"
            "def end(*_):\n    time.sleep({drain}); pathlib.Path('order').open('a').write('{name}\\n'); sys.exit()\n"
            "signal.signal(signal.SIGTERM, end); pathlib.Path('{name}.up').touch()\n"
            "while True: time.sleep(1)"
        )
        supervisor = Supervisor(tmp_path / "state.json", "run", lambda _: None)
        for stage, (name, drain) in enumerate((("database", 0), ("cache", 0), ("worker", 1))):
            supervisor.start(script(code.format(name=name, drain=drain), tmp_path, name, stage=stage))
        await until(lambda: len(list(tmp_path.glob("*.up"))) == 3)
        await supervisor.stop()
        assert (tmp_path / "order").read_text().split() == ["worker", "cache", "database"]

    async def test_a_deaf_child_is_killed_after_its_grace(self, tmp_path: Path) -> None:
        code = (
            "import os, pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "pathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(60)"
        )
        supervisor = Supervisor(tmp_path / "state.json", "run", lambda _: None)
        supervisor.start(script(code, tmp_path, "deaf", grace_s=0.5))
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        await supervisor.stop()
        assert gone(int((tmp_path / "pid").read_text()))

    async def test_a_restart_storm_quotes_the_log(self, tmp_path: Path) -> None:
        said: list[str] = []
        supervisor = Supervisor(tmp_path / "state.json", "run", said.append)
        supervisor.start(script("raise SystemExit('no such setting')", tmp_path, "web"))
        await until(lambda: len(said) >= 3)
        await supervisor.stop()
        assert said[0] == "web ended with code 1; restarting it."
        assert said[2].startswith("web keeps ending (3 times in two minutes): no such setting")


class TestLeftovers:
    def test_only_processes_of_that_run_are_ended(self, tmp_path: Path) -> None:
        marked = subprocess.Popen(["sleep", "60"], env={**os.environ, RUN_MARK: "killed-run"})
        listed = subprocess.Popen(["sleep", "60"])
        stranger = subprocess.Popen(["sleep", "60"], env={**os.environ, RUN_MARK: "another-run"})
        reused = subprocess.Popen(["sleep", "60"])
        try:
            born = psutil.Process(listed.pid).create_time()
            state = tmp_path / "processes.json"
            record(
                state,
                "killed-run",
                [
                    Started("listed", listed.pid, born, signal.SIGTERM),
                    Started("old", reused.pid, born - 3600, signal.SIGTERM),
                ],
            )
            assert end_leftovers(state) == 2
            assert (gone(marked.pid), gone(listed.pid)) == (True, True)
            assert (stranger.poll(), reused.poll()) == (None, None)
            assert end_leftovers(state) == 0
        finally:
            for process in (marked, listed, stranger, reused):
                process.kill()
                process.wait()

    @pytest.mark.parametrize("text", ["", "[]", '{"run_id": "x", "children": [{"pid": 1}]}'])
    def test_a_damaged_record_ends_nothing(self, tmp_path: Path, text: str) -> None:
        state = tmp_path / "processes.json"
        state.write_text(text)
        assert end_leftovers(state) == 0


class TestAttach:
    def test_fills_what_is_missing_and_nothing_else(self, files: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
        files.create()
        environment.write(
            files, {"CYBERNETIC_DATA_DIR": str(files.root), "REDIS_URL": "unix:///a", "A_NEW_ONE": "it's"}
        )
        assert stat.S_IMODE(files.env_json.stat().st_mode) == stat.S_IMODE(files.env_shell.stat().st_mode) == 0o600
        monkeypatch.setenv("CYBERNETIC_DATA_DIR", str(files.root))
        monkeypatch.setenv("REDIS_URL", "redis://mine/0")
        monkeypatch.setenv("A_NEW_ONE", "")
        monkeypatch.delenv("A_NEW_ONE")
        attach_env()
        assert (os.environ["REDIS_URL"], os.environ["A_NEW_ONE"]) == ("redis://mine/0", "it's")
        shell = subprocess.run(
            ["sh", "-c", f'. "{files.env_shell}"; printf %s "$A_NEW_ONE"'], capture_output=True, text=True, check=True
        )
        assert shell.stdout == "it's"
        environment.remove(files)
        assert not files.env_json.exists()

    def test_needs_only_the_standard_library(self) -> None:
        code = (
            "import sys; from apps.core.embedded.attach import attach_env; attach_env(); print('psutil' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
        )
        assert done.stdout == "False\n"


class TestPreflight:
    def test_a_taken_port_names_the_way_out(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(StartFailed, match=r"is taken.*set CYBERNETIC_PORT to a free port"):
                preflight.check_port("127.0.0.1", taken.getsockname()[1])

    @pytest.mark.parametrize("value", ["abc", "0", "70000", "-1", "٣"])
    def test_a_port_that_is_none(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CYBERNETIC_PORT", value)
        with pytest.raises(StartFailed, match="CYBERNETIC_PORT must be a number from 1 to 65535"):
            preflight.port()

    @pytest.mark.parametrize(
        ("url", "sentence"), [("nonsense", "must look like"), ("redis://127.0.0.1:1/0", "does not answer")]
    )
    def test_an_outside_cache_is_asked_first(self, url: str, sentence: str) -> None:
        with pytest.raises(StartFailed, match=sentence):
            preflight.check_redis(url)


class TestLogs:
    def test_the_telling_line_since_the_start(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        log.write_text("FATAL: old\n")
        start = log.stat().st_size
        with os.fdopen(open_log(log), "w") as file:
            file.write("LOG: starting\nFATAL: new\nLOG: shut down\n\n")
        assert last_line(log, start=start, marks=("FATAL",)) == "FATAL: new"
        assert last_line(log) == "LOG: shut down"
        assert last_line(tmp_path / "none.log") == ""


class TestSetup:
    def test_remembered_only_for_the_same_code_and_password(self, files: DataDir) -> None:
        files.create()
        login = setup.Login("http://localhost:8000", "demo@example.org", "secret")
        setup.remember(files, setup.fingerprint("a"), login)
        assert setup.remembered(files, setup.fingerprint("a")) == login
        assert setup.remembered(files, setup.fingerprint("b")) is None
        assert stat.S_IMODE(files.setup_stamp.stat().st_mode) == 0o600


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", REPOSITORY / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestBootstrap:
    def test_a_missing_compiler_is_named(
        self, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CXX", raising=False)
        assert "a C++ compiler (Debian, Ubuntu: `apt install g++`" in bootstrap.missing_for_hnswlib()

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "is full"),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
                "does not match its recorded hash",
            ),
            ("ERROR: No matching distribution found for x==1", "could not be reached or lacks a package"),
        ],
    )
    def test_pip_failures_become_one_sentence(self, bootstrap: ModuleType, said: str, sentence: str) -> None:
        explained = bootstrap.explain([said])
        assert sentence in explained
        assert "\n" not in explained
