"""The arrows of the design: who may import, print and parse, and that imports stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SIM = sorted((ROOT / "sim").rglob("*.py"))
IK_MDN = sorted((ROOT / "ik_mdn").rglob("*.py"))
CLI = ROOT / "ik_mdn" / "cli"
ROOMS = (  # a room imports from rooms further down this list only, types included
    "ik_mdn.cli",
    "ik_mdn.teaching",
    "ik_mdn.viewer",
    "ik_mdn.comparison",
    "ik_mdn.reach",
    "ik_mdn.paths",
    "ik_mdn.control",
    "ik_mdn.training",
    "ik_mdn.evaluation",
    "ik_mdn.solver",
    "ik_mdn.model",
    "ik_mdn.mixture",
    "sim.environment",
    "sim.dataset",
    "sim.world",
    "sim.rendering",
    "sim.scenes",
    "sim.jacobians",
    "sim.task",
    "sim.kinematics",
    "sim.arm",
    "sim.rotations",
    "sim.inputs",
    "sim.files",
    "sim.remote",
    "sim.executor",
    "sim.errors",
    "sim.arrays",
    "sim.words",
    "sim.lazy",
)
HEAVY = ("numba", "torch", "pybullet", "matplotlib", "pyarrow", "pandas", "yourdfpy", "scipy", "imageio", "viser")
SLOW_TO_START = ("torch", "roma", "yourdfpy", "trimesh", "lxml", "scipy.linalg", "pybullet", "matplotlib")


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> set[str]:
    """Top-level names of the modules a file imports anywhere, lazily or not."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            found |= {arg.value.split(".")[0] for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def room_of(module: str) -> str:
    """The room that a module is in: its first two names."""
    return ".".join(module.split(".")[:2])


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def arrows(path: Path) -> list[tuple[str, str]]:
    """What a file imports of the project, types included: pairs of a module and a name."""
    nodes = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
    found = [(node.module or "", alias.name) for node in nodes for alias in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] in ("ik_mdn", "sim")]


def modules_imported(path: Path) -> set[str]:
    """The modules of the project that a file imports from; a package stands for itself."""
    known = {module_of(each) for each in [*SIM, *IK_MDN]}
    return {f"{module}.{name}" if f"{module}.{name}" in known else module for module, name in arrows(path)}


@cache
def calls(path: Path) -> set[str]:
    """What a file calls, as it is written: "print", "torch.manual_seed", "self.run"."""
    nodes = ast.walk(parse(path))
    return {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("path", [*SIM, *IK_MDN], ids=name_of)
def test_arrows_point_down_the_table(path: Path) -> None:
    here = room_of(module_of(path))
    if here not in ("sim", "ik_mdn", "ik_mdn.__main__"):
        wrong = {
            module
            for module in modules_imported(path)
            if (there := room_of(module)) != here and ROOMS.index(there) < ROOMS.index(here)
        }
        assert not wrong, f"{name_of(path)} imports {sorted(wrong)}, which lie above it"


@pytest.mark.parametrize("path", [*SIM, *IK_MDN], ids=name_of)
def test_rooms_are_entered_by_their_door(path: Path) -> None:
    """Another room's names come from its package, which lists what it offers; what is not listed is private."""
    here, packages = room_of(module_of(path)), {module_of(each) for each in [*SIM, *IK_MDN] if each.stem == "__init__"}
    inside = {module for module, _ in arrows(path) if room_of(module) not in (here, module)}
    if here not in ("sim", "ik_mdn"):
        assert not {module for module in inside if room_of(module) in packages}


def test_no_module_imports_itself_by_way_of_others() -> None:
    files = {module_of(path): path for path in [*SIM, *IK_MDN] if path.stem != "__init__"}
    left = {module: modules_imported(path) & set(files) for module, path in files.items()}
    while leaves := [module for module, needs in left.items() if not needs & set(left)]:
        for module in leaves:
            del left[module]
    assert not left, f"these import each other in circles, or from such: {sorted(left)}"


def test_no_module_lies_loose() -> None:
    assert {path.name for path in (ROOT / "ik_mdn").glob("*.py")} == {"__init__.py", "__main__.py"}
    loose = {f"sim.{path.stem}" for path in (ROOT / "sim").glob("*.py")} - {"sim.__init__"}
    assert loose == {room for room in ROOMS if room.startswith("sim.") and not (ROOT / room.replace(".", "/")).is_dir()}


@pytest.mark.parametrize("path", SIM, ids=name_of)
def test_sim_knows_nothing_of_learning_or_scripts(path: Path) -> None:
    assert not imported(path) & {"ik_mdn", "scripts", "tests"}


@pytest.mark.parametrize("path", IK_MDN, ids=name_of)
def test_ik_mdn_knows_nothing_of_scripts(path: Path) -> None:
    assert not imported(path) & {"scripts", "tests"}


def test_only_the_world_imports_pybullet() -> None:
    assert [name_of(path) for path in [*SIM, *IK_MDN] if "pybullet" in imported(path)] == ["sim/world/client.py"]


@pytest.mark.parametrize("path", [path for path in [*SIM, *IK_MDN] if CLI not in path.parents], ids=name_of)
def test_libraries_do_not_print_or_parse_arguments(path: Path) -> None:
    assert not imported(path) & {"argparse", "tyro", "rich", "click", "typer"}
    assert not calls(path) & {"print", "pprint", "input", "exit"}
    assert "sys.argv" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*SIM, *IK_MDN], ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", [*SIM, *IK_MDN], ids=name_of)
def test_no_global_types_seeds_or_pickles(path: Path) -> None:
    assert not calls(path) & {"torch.set_default_dtype", "torch.set_default_device", "np.random.seed", "random.seed"}
    assert not imported(path) & {"pickle", "dill", "joblib"}
    text = path.read_text(encoding="utf-8")
    assert "torch.manual_seed" not in calls(path) or "torch.random.fork_rng" in text, "it seeds the caller's generator"


def loaded_after(code: str, heavy: tuple[str, ...] = HEAVY) -> set[str]:
    """Which heavy modules are loaded after running code in a fresh interpreter."""
    program = f"import sys\n{code}\nprint('LOADED', *[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_importing_the_packages_loads_nothing_heavy_and_prints_nothing() -> None:
    assert loaded_after("import sim, ik_mdn") == set()
    done = subprocess.run([sys.executable, "-c", "import sim, ik_mdn"], cwd=ROOT, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def run_help(*arguments: str) -> str:
    return (
        "from ik_mdn.cli import main\n"
        f"try:\n    code = main({list(arguments)!r})\n"
        "except SystemExit as stop:\n    code = stop.code\n"
        "assert code in (0, None), code"
    )


def test_help_loads_nothing_heavy() -> None:
    assert loaded_after(run_help("--help")) == set()


@pytest.mark.slow
def test_help_of_every_command_loads_nothing_heavy() -> None:
    from ik_mdn.cli import COMMANDS

    assert loaded_after("\n".join(run_help(command, "--help") for command in COMMANDS)) == set()


def test_listing_the_arms_does_not_wake_torch_or_bullet() -> None:
    assert not loaded_after("from ik_mdn.cli import main\nassert main(['arms']) == 0") & {"torch", "pybullet"}


@pytest.mark.parametrize("solver", ["ik_mdn.IKSolver.load('ur5e')", "ik_mdn.IKSolver(sim.load_arm('ur5e'))"])
def test_solving_is_quick_to_start(solver: str) -> None:
    code = f"import sim, ik_mdn\nassert {solver}.solve(sim.pose((0.3, 0.1, 0.2), rpy=(3, 0, 0)))[0].q.size"
    assert loaded_after(code, SLOW_TO_START) == set()


@pytest.mark.parametrize("package", ["sim", "ik_mdn"])
def test_unknown_public_names_are_answered_with_the_known_ones(package: str) -> None:
    module = __import__(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'; it has "):
        _ = module.nothing


PACKAGES = sorted(
    module_of(path) for path in [*SIM, *IK_MDN] if path.stem == "__init__" and "public_names" in path.read_text()
)


@pytest.mark.slow
def test_every_public_name_is_there_and_no_module_hides_it() -> None:
    """Twice each: the first use may load a module of the same name, which would be found instead from then on."""
    check = "assert p.__all__ and dir(p) == p.__all__, p\nfor n in p.__all__ * 2: assert not isinstance(getattr(p, n), type(p)), n\n"
    loaded_after("".join(f"import {package}\np = {package}\n" + check for package in PACKAGES))
