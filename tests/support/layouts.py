"""One scan written in the file layout of each beamline, as the beamline's own programs do."""

from dataclasses import dataclass, field
from pathlib import Path

import fabio
import h5py
import numpy as np
import tifffile
from beamtime import Experiment

from autophasenn.beamlines import Setup

CHEX = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])


@dataclass
class Written:
    """What a beamline left: `path` and `options` are given to `read_scan`."""

    path: Path
    options: dict = field(default_factory=dict)
    setup: dict = field(default_factory=dict)

    def arguments(self, **more):
        return {**self.options, "setup": Setup(**{**self.setup, **more})}


def spec(path, number, names, values, mnemonics, command, columns, extra=()):
    """A SPEC file of one scan."""
    lines = ["#F made.spec", "#E 1580609738", "#D Sat Feb 01 20:15:38 2020", ""]
    lines += ["#O0 " + "  ".join(names), "#o0 " + " ".join(mnemonics), "", f"#S {number}  {command}"]
    lines += ["#D Tue Feb 04 12:28:23 2020", "#P0 " + " ".join(repr(float(v)) for v in values), *extra]
    lines += [f"#N {len(columns)}", "#L " + "  ".join(columns)]
    lines += [" ".join(repr(float(v)) for v in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n\n")
    return path


def ascan(motor, positions):
    return f"ascan  {motor} {positions[0]!r} {positions[-1]!r} {len(positions) - 1} 1".replace(
        "np.float64(", ""
    ).replace(")", "")


def tiffs(folder, frames, stem):
    folder.mkdir()
    for index, frame in enumerate(frames):
        tifffile.imwrite(folder / f"{stem}_{index:05d}.tif", frame)
    return folder


class Aps34idc:
    name = "34idc"
    experiment = Experiment(
        [("Theta", "y+", 0), ("Chi", "z-", 90), ("Phi", "y+", 0)],
        [("Delta", "y+", 0), ("Gamma", "x-", 0)],
        "x+",
        "y-",
        {"Theta": 0.22, "Chi": 88.0, "Phi": -5.0, "Delta": 32.1, "Gamma": 12.6},
        "Theta",
        0.01,
        (60, 80),
        (33, 41),
        (258.5, 258.0),
        first=(150, 60),
    )

    @staticmethod
    def write(root, frames, e):
        motors = {**e.motors, "camdist": 1e3 * e.distance, "Energy": 1e-3 * e.energy}
        label = {"energy": "Energy"}.get(e.scanned, e.scanned)
        short = {"Theta": "th", "Chi": "chi", "Phi": "phi", "Energy": "en"}[label]
        positions = e.positions * (1e-3 if label == "Energy" else 1)
        mnemonics = ["th", "chi", "phi", "del", "gam", "cam", "en"]
        region = f"#UIMR5  {e.first[1]} {e.shape[1]} {e.first[0]} {e.shape[0]} 1"
        log = spec(
            root / "made.spec",
            54,
            list(motors),
            motors.values(),
            mnemonics,
            ascan(short, positions),
            {label: positions, "Monitor": 1000 + 0 * positions},
            ["#UIMDET 34idcTIM2:", region],
        )
        return Written(tiffs(root / "Made_S0054", frames, "Made_S0054"), {"spec": log}, {"direct_beam": e.beam})


class Id01Bliss:
    name = "id01"
    experiment = Experiment(
        [("mu", "y-", 0), ("eta", "x-", 0), ("phi", "y-", 0)],
        [("nu", "y-", 0), ("delta", "x-", 0)],
        "x+",
        "y-",
        {"mu": 0.0, "eta": 18.0, "phi": 3.0, "nu": 4.0, "delta": 36.0},
        "eta",
        0.01,
        (516, 516),
        (300, 120),
        (250.0, 260.0),
    )
    masked = (255, 260)

    @staticmethod
    def write(root, frames, e, detector="mpx1x4"):
        """Master -> dataset file -> the detector's own file, linked as at the beamline."""
        (root / "raw" / "scan0012").mkdir(parents=True)
        with h5py.File(root / "raw" / "scan0012" / f"{detector}_0000.h5", "w") as file:
            file.create_dataset(f"entry_0000/instrument/{detector}/data", data=frames.astype("u2"), compression=1)
        with h5py.File(root / "raw" / "sample.h5", "w") as file:
            scan = file.create_group("12.1")
            scan["title"] = ascan(e.scanned, e.positions).replace("  ", " ")
            scan["start_time"], scan["end_time"] = "2024-05-01T10:00:00", "2024-05-01T10:10:00"
            scan[f"measurement/{detector}"] = h5py.ExternalLink(
                f"scan0012/{detector}_0000.h5", f"/entry_0000/instrument/{detector}/data"
            )
            scan["measurement/imon"] = 1000.0 + np.zeros(len(frames))
            for motor, value in e.motors.items():
                scan[f"instrument/positioners/{motor}"] = e.positions if motor == e.scanned else value
            if e.scanned in e.motors:
                scan[f"measurement/{e.scanned}"] = e.positions
            energy = 1e-3 * (e.positions if e.scanned == "energy" else e.energy)
            scan["instrument/positioners/mononrj"] = energy
            calibration = {
                "beam_center_y": e.beam[0],
                "beam_center_x": e.beam[1],
                "y_pixel_size": e.pixel,
                "x_pixel_size": e.pixel,
                "distance": e.distance,
                "dim_j": 516,
                "dim_i": 516,
            }
            for key, value in calibration.items():
                scan[f"instrument/{detector}/{key}"] = value
        master = root / "experiment_sample.h5"
        with h5py.File(master, "w") as file:
            file["sample_12.1"] = h5py.ExternalLink("raw/sample.h5", "12.1")
        return Written(master, {"scan": 12})


class Id01Spec(Id01Bliss):
    @staticmethod
    def write(root, frames, e):
        folder = root / "edf"
        folder.mkdir()
        numbers = 700 + np.arange(len(frames))
        for number, frame in zip(numbers, frames, strict=True):
            fabio.edfimage.EdfImage(frame.astype("i4")).write(str(folder / f"data_mpx4_{number:05d}.edf.gz"))
        names = {"mu": "mu", "eta": "eta", "phi": "phi", "nu": "nu", "delta": "del", "nrj": "nrj"}
        values = [{**e.motors, "nrj": 1e-3 * e.energy}[motor] for motor in names]
        calibration = f"#UDETCALIB cen_pix_x={e.beam[1]:.3f},cen_pix_y={e.beam[0]:.3f},pixperdeg=400.0,"
        calibration += f"det_distance_CC={e.distance:.3f},det_distance_COM={e.distance:.3f},timestamp=2018-05-01"
        log = spec(
            root / "made.spec",
            12,
            names.values(),
            values,
            names.values(),
            ascan(names[e.scanned], e.positions),
            {names[e.scanned]: e.positions, "mpx4inr": numbers, "exp1": 0 * numbers},
            [calibration],
        )
        return Written(folder, {"spec": log, "scan": 12})


class Bm02:
    name = "bm02"
    experiment = Experiment(
        [("mu", "y+", 0), ("th", "x-", 0), ("chi", "z+", 0), ("phi", "x-", 0)],
        [("nu", "y+", 0), ("tth", "x-", 0)],
        "x-",
        "y-",
        {"mu": 1.0, "th": 16.0, "chi": 88.0, "phi": 12.0, "nu": 3.0, "tth": 33.0},
        "th",
        -0.01,
        (80, 60),
        (30, 22),
        (40.0, 20.0),
    )

    @staticmethod
    def write(root, frames, e):
        folder = root / "edf"
        folder.mkdir()
        for number, frame in enumerate(frames):
            fabio.edfimage.EdfImage(frame.astype("i4")).write(str(folder / f"PtYSZ_{number + 31:04d}.edf"))
        names = {"mu": "mu", "th": "THETA", "chi": "CHI", "phi": "PHI", "nu": "nu", "tth": "2THETA", "Emono": "Emono"}
        values = [{**e.motors, "Emono": 1e-3 * e.energy}[motor] for motor in names]
        columns = {"THETA": e.positions, "img": 31 + np.arange(len(frames)), "d0_cps": 0 * e.positions}
        log = spec(root / "made.spec", 7, names.values(), values, names.values(), ascan("THETA", e.positions), columns)
        setup = {
            "distance_m": e.distance,
            "pixel_m": (e.pixel, e.pixel),
            "direct_beam": e.beam,
            "first_pixel": (0.0, 0.0),
        }
        return Written(folder, {"spec": log, "scan": 7}, setup)


class Id27:
    name = "id27"
    experiment = Experiment(
        [("nath", "y-", 0)],
        [("eigx", "tx", 0), ("eigy", "ty", 0), ("eigz", "tz", 0)],
        "x-",
        "y-",
        {"nath": 5.0, "eigx": 0.0, "eigy": 0.0, "eigz": 0.0},
        "nath",
        0.005,
        (90, 100),
        (60, 30),
        (1400.0, 1600.0),
        energy=33e3,
        distance=0.6,
        pixel=75e-6,
        first=(600, 540),
    )

    @staticmethod
    def write(root, frames, e):
        master = root / "made.h5"
        with h5py.File(master, "w") as file:
            scan = file.create_group("made_3.1")
            scan["title"] = ascan("nath", e.positions)
            scan["end_time"] = "2024"
            scan["measurement/eiger"] = frames
            scan["instrument/positioners/nath"] = e.positions
            for stage in ("eigx", "eigy", "eigz"):
                scan[f"instrument/positioners/{stage}"] = 12.0  # where it was when the direct beam was seen
            scan["instrument/calibration/wavelength"] = 12398.41984332 / e.energy
        setup = {"distance_m": e.distance, "direct_beam": e.beam, "direct_beam_at": dict.fromkeys(e.motors, 0.012)}
        return Written(master, {"scan": 3}, {**setup, "first_pixel": (600.0, 540.0)})


class P10:
    name = "p10"
    experiment = Experiment(
        [("mu", "y+", 0), ("om", "x-", 0), ("chi", "z+", 90), ("phi", "y-", 0)],
        [("gam", "y+", 0), ("del", "x-", 0)],
        "x-",
        "y-",
        {"mu": 0.5, "om": 16.0, "chi": 89.0, "phi": 20.0, "gam": 2.0, "del": 31.0},
        "om",
        0.01,
        (512, 1028),
        (200, 700),
        (256.0, 514.0),
        pixel=75e-6,
        distance=1.8,
    )

    @staticmethod
    def write(root, frames, e):
        scan = root / "sample_00007"
        (scan / "e2500").mkdir(parents=True)
        half = len(frames) // 2
        for number, part in ((1, frames[:half]), (2, frames[half:])):
            with h5py.File(scan / "e2500" / f"sample_00007_data_{number:06d}.h5", "w") as file:
                file.create_dataset("entry/data/data", data=part, compression=1)
        with h5py.File(scan / "e2500" / "sample_00007_master.h5", "w") as file:
            for number in (1, 2):
                file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(
                    f"sample_00007_data_{number:06d}.h5", "entry/data/data"
                )
        lines = ["!", "! Comments", "%c", ascan(e.scanned, e.positions), "user p10 Acquisition started at ...", "!"]
        lines += ["! Parameter", "%p", *(f"{m} = {v!r}" for m, v in e.motors.items())]
        lines += [f"fmbenergy = {e.energy!r}", f"_distance = {1e3 * e.distance!r}", "_ccd = e2500", "!", "! Data", "%d"]
        lines += [f" Col 1 {e.scanned} DOUBLE", " Col 2 curpetra DOUBLE"]
        (scan / "sample_00007.fio").write_text(
            "\n".join([*lines, *(f" {p!r} 100.1" for p in e.positions.tolist())]) + "\n"
        )
        return Written(scan, {}, {"direct_beam": e.beam})


class Nanomax:
    name = "nanomax"
    experiment = Experiment(
        [("gontheta", "x-", 0), ("gonphi", "y-", 0)],
        [("gamma", "y-", 0), ("delta", "x-", 0)],
        "x+",
        "y-",
        {"gontheta": 2.0, "gonphi": 11.0, "gamma": 25.0, "delta": 14.0},
        "gonphi",
        -0.01,
        (515, 515),
        (150, 400),
        (257.5, 257.5),
    )
    masked = (255, 259)

    @staticmethod
    def write(root, frames, e, detector="merlin"):
        path = root / "000042.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(f"entry/measurement/{detector}/frames", data=frames.astype("u2"), compression=1)
            file[f"entry/measurement/{e.scanned}"] = e.positions
            snapshot = {**e.motors, "energy": e.energy, "radius": 1e3 * e.distance}
            for motor, value in snapshot.items():
                file[f"entry/snapshots/post_scan/{motor}"] = [value]
            file["entry/description"] = ascan(e.scanned, e.positions)
        return Written(path, {}, {"direct_beam": e.beam})


class Sixs2019:
    name = "sixs"
    experiment = Experiment(
        [("beta", "x-", 0), ("mu", "y+", 0)],
        [("beta", "x-", 0), ("gamma", "y+", 0), ("delta", "x-", 0)],
        "x+",
        "y-",
        {"beta": 0.4, "mu": 22.0, "gamma": 30.0, "delta": 18.0},
        "mu",
        0.01,
        (512, 512),
        (300, 200),
        (256.0, 256.0),
    )
    masked = (254, 256)
    places = "com/SIXS/i14-c-cx1-ex-diff-med-tpp-{}/position_pre"
    rocking = "data_07"

    @classmethod
    def write(cls, root, frames, e):
        path = root / "align_ascan_mu_00042.nxs"
        with h5py.File(path, "w") as file:
            file.create_dataset("com/scan_data/data_02", data=frames.astype("u2"), compression=1)
            file[f"com/scan_data/{cls.rocking}"] = e.positions
            for motor, value in e.motors.items():
                file[cls.places.format(motor)] = [value]
            file["com/SIXS/i14-c-c02-op-mono/energy"] = [1e-3 * e.energy]
        return Written(path, {}, {"distance_m": e.distance, "direct_beam": e.beam, "pixel_m": (55e-6, 55e-6)})


class Sixs2022(Sixs2019):
    experiment = Experiment(
        [("mu", "x-", 0), ("omega", "y+", 0)],
        [("gamma", "y+", 0), ("delta", "x-", 0)],
        "y+",
        "x-",
        {"mu": 0.5, "omega": 21.0, "gamma": 30.0, "delta": 18.0},
        "omega",
        0.01,
        (512, 512),
        (300, 200),
        (256.0, 256.0),
    )
    places = "com/SIXS/i14-c-cx1-ex-med-v-dif-group.1/{}/position"
    rocking = "actuator_1_1"


class Cristal:
    name = "cristal"
    experiment = Experiment(
        [("omega", "x-", 0), ("phi", "y+", 0)],
        [("gamma", "y+", 0), ("delta", "x-", 0)],
        "x+",
        "y-",
        {"omega": 15.0, "phi": 40.0, "gamma": 3.0, "delta": 34.0},
        "omega",
        0.01,
        (516, 516),
        (100, 330),
        (258.0, 258.0),
    )
    masked = (255, 260)

    @staticmethod
    def write(root, frames, e):
        path = root / "made_0042.nxs"
        with h5py.File(path, "w") as file:
            scan = file.create_group("exp_0042")
            scan.create_dataset("scan_data/data_06", data=frames.astype("u2"), compression=1)
            positions = 1e-3 * e.positions if e.scanned == "energy" else e.positions
            scan["scan_config/name"] = {"energy": "energy_scan"}.get(e.scanned, f"ascan_mg{e.scanned}")
            scan[f"scan_data/actuator_1_{3 if e.scanned == 'energy' else 1}"] = positions
            scan["CRISTAL/Diffractometer/i06-c-c07-ex-dif-delta/position"] = [e.motors["delta"]]
            scan["CRISTAL/Diffractometer/I06-C-C07-EX-DIF-GAMMA/position"] = [e.motors["gamma"]]
            scan["CRISTAL/i06-c-c07-ex-mg_omega/position"] = [e.motors["omega"]]
            scan["CRISTAL/i06-c-c07-ex-mg_phi/position"] = [e.motors["phi"]]
            scan["CRISTAL/Monochromator/energy"] = [1e-3 * e.energy]
        return Written(path, {}, {"distance_m": e.distance, "direct_beam": e.beam, "pixel_m": (55e-6, 55e-6)})


class Aps28idb:
    name = "28idb"
    experiment = Experiment(
        [("Mu", "z-", 0), ("Eta", "x+", 0), ("Chi", "y+", 0), ("Phi", "z-", 0)],
        [("Nu", "z-", 0), ("Delta", "x+", 0)],
        "x-",
        "z-",
        {"Mu": 1.0, "Eta": 17.0, "Chi": 88.0, "Phi": 4.0, "Nu": 2.0, "Delta": 33.0},
        "Eta",
        0.01,
        (512, 1028),
        (200, 700),
        (292.0, 440.0),
        pixel=75e-6,
        distance=1.2,
        frame=CHEX,
    )

    @staticmethod
    def write(root, frames, e):
        path = root / "made_S0009_00000.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("entry/data/data", data=frames, compression=1)
        motors = {**e.motors, "camdist": 1e3 * e.distance, "Energy": 1e-3 * e.energy}
        mnemonics = ["mu", "eta", "chi", "phi", "nu", "del", "cam", "en"]
        short = e.scanned.lower()
        columns = {e.scanned: e.positions, "Monitor": 0 * e.positions}
        log = spec(root / "made.spec", 9, list(motors), motors.values(), mnemonics, ascan(short, e.positions), columns)
        return Written(path, {"spec": log}, {"direct_beam": e.beam})


class Aps7idd:
    name = "7idd"
    experiment = Experiment(
        [("wedge", "x-", 0), ("Chi", "z-", 0), ("ThetaN", "x-", 0), ("Phi", "y+", 0)],
        [("Yaw", "y+", 0), ("Pitch", "x-", 0)],
        "y+",
        "x+",
        {"wedge": 10.0, "Chi": 2.0, "ThetaN": 8.0, "Phi": 30.0, "Yaw": 5.0, "Pitch": 31.0},
        "ThetaN",
        0.01,
        (70, 90),
        (40, 50),
        (300.0, 420.0),
        pixel=75e-6,
        distance=1.1,
        first=(280, 400),
    )

    @staticmethod
    def write(root, frames, e):
        recorded = {m: v for m, v in e.motors.items() if m != "wedge"}
        motors = {**recorded, "Radius": 1e3 * e.distance, "Energy": 1e-3 * e.energy}
        mnemonics = ["chi", "th", "phi", "yaw", "pitch", "radius", "en"]
        columns = {"ThetaN": e.positions, "Monitor": 0 * e.positions}
        region = f"#UIMR5  {e.first[1]} {e.shape[1]} {e.first[0]} {e.shape[0]} 1"
        log = spec(
            root / "made.spec",
            21,
            list(motors),
            motors.values(),
            mnemonics,
            ascan("th", e.positions),
            columns,
            ["#UIMDET 7iddrobot:", region],
        )
        return Written(tiffs(root / "Made_S0021", frames, "Made_S0021"), {"spec": log}, {"direct_beam": e.beam})


class Aps1ide:
    name = "1ide"
    experiment = Experiment(
        [("aero", "y-", 0)],
        [("vff_eta", "z+", 0), ("vff_r", "ty", 0), ("vff_eta_offset", "tx", 0)],
        "x+",
        "y-",
        {"aero": 5.0, "vff_eta": -60.0, "vff_r": 0.5, "vff_eta_offset": 0.0},
        "aero",
        0.002,
        (518, 518),
        (300, 200),
        (259.0, 259.0),
        energy=52e3,
        distance=3.5,
    )

    @staticmethod
    def write(root, frames, e):
        motors = {
            "AeroTech": 5.0,
            "vff_eta": e.motors["vff_eta"],
            "vff_r": 1e3 * e.motors["vff_r"],
            "detdist": 1e3 * e.distance,
        }
        columns = {"AeroTech": e.positions, "Monitor": 0 * e.positions}
        mnemonics = ["aero", "vff_eta", "vff_r", "detdist"]
        log = spec(
            root / "made.spec",
            33,
            list(motors),
            motors.values(),
            mnemonics,
            ascan("aero", e.positions),
            columns,
            ["#UIMDET ASI:"],
        )
        setup = {"direct_beam": e.beam, "energy_ev": e.energy}
        return Written(tiffs(root / "Made_S0033", frames, "Made_S0033"), {"spec": log}, setup)


class Aps20ide:
    name = "20ide"
    experiment = Experiment(
        [("samRy", "y+", 0)],
        [("DetX", "tx", 0), ("DetY", "ty", 0)],
        "x+",
        "y-",
        {"samRy": 5.0, "DetX": 0.31, "DetY": 0.12},
        "samRy",
        0.002,
        (518, 518),
        (300, 200),
        (259.0, 259.0),
        energy=52e3,
        distance=3.5,
    )

    @staticmethod
    def write(root, frames, e):
        path = root / "made_0044.ASI.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("exchange/data", data=frames.astype("u2"), compression=1)
            file.create_dataset("exchange/data_dark", data=np.zeros((1, *e.shape), "u2"), compression=1)
            file.create_dataset("exchange/data_white", data=np.full((2, *e.shape), 7, "u2"), compression=1)
            file["SMS/E/HR/samRy"] = e.positions
            file["DMS/DetX"], file["DMS/DetY"], file["DMS/DetZ"] = [310.0], [120.0], [1e3 * e.distance]
            file["HEM/Energy"] = [1e-3 * e.energy]
        return Written(path, {}, {"direct_beam": e.beam})


class I16:
    """A chain of transformations with a kappa circle, as the files of I16 have it; the frames behind a link."""

    name = "i16"
    experiment = Experiment(
        [("mu", "x+", 0), ("theta", "y+", 0), ("phi", "y+", 0)],
        [("gamma", "x+", 0), ("delta", "y+", 0)],
        "x+",
        "y+",
        {"mu": 1.0, "theta": 20.0, "phi": 33.0, "gamma": 2.0, "delta": 41.0},
        "theta",
        0.01,
        (195, 487),
        (90, 240),
        (100.0, 230.0),
        pixel=172e-6,
        distance=0.62,
    )

    @staticmethod
    def write(root, frames, e):
        (root / "42-pil-files").mkdir()
        with h5py.File(root / "42-pil-files" / "42.hdf", "w") as file:
            file.create_dataset("entry/instrument/detector/data", data=frames.astype("i4"), compression=1)
        path = root / "42.nxs"
        with h5py.File(path, "w") as file:
            entry = file.create_group("entry1")
            entry.attrs["NX_class"] = "NXentry"

            def axis(name, value, vector, outer, kind="rotation", units="deg"):
                entry[name] = np.atleast_1d(value)
                entry[name].attrs.update(
                    {"transformation_type": kind, "units": units, "vector": vector, "depends_on": outer}
                )
                entry[name].attrs["offset"] = [0.0, 0.0, 0.0]

            theta = e.positions if e.scanned == "theta" else e.motors["theta"]
            axis("sample/transformations/mu", e.motors["mu"], [1, 0, 0], ".")
            axis("sample/transformations/theta", theta, [0, 1, 0], "entry1/sample/transformations/mu")
            axis("sample/transformations/phi", e.motors["phi"], [0, 1, 0], "/entry1/sample/transformations/theta")
            entry["sample/depends_on"] = "/entry1/sample/transformations/phi"
            entry["sample/beam/incident_energy"] = [1e-3 * e.energy]
            place = "instrument/transformations"
            axis(f"{place}/gamma", e.motors["gamma"], [1, 0, 0], ".")
            axis(f"{place}/delta", e.motors["delta"], [0, 1, 0], f"entry1/{place}/gamma")
            detector = "instrument/pil3"
            origin = [-1e3 * e.beam[1] * e.pixel, -1e3 * e.beam[0] * e.pixel, 1e3 * e.distance]
            axis(
                f"{detector}/transformations/origin_offset", 1.0, origin, f"/entry1/{place}/delta", "translation", "mm"
            )
            entry[f"{detector}/depends_on"] = f"/entry1/{detector}/transformations/origin_offset"
            inner = f"/entry1/{detector}/transformations/origin_offset"
            axis(f"{detector}/module/fast_pixel_direction", 1e3 * e.pixel, [1, 0, 0], inner, "translation", "mm")
            axis(f"{detector}/module/slow_pixel_direction", 1e3 * e.pixel, [0, 1, 0], inner, "translation", "mm")
            entry[f"{detector}/module/data_size"] = [195, 487]
            entry["instrument"].attrs["NX_class"] = "NXinstrument"
            entry[detector].attrs["NX_class"] = "NXdetector"
            entry[f"{detector}/data"] = h5py.ExternalLink("42-pil-files/42.hdf", "/entry/instrument/detector/data")
            entry["scan_command"] = "scan theta"
        return Written(path)


LAYOUTS = (
    Aps34idc,
    Id01Bliss,
    Id01Spec,
    Bm02,
    Id27,
    P10,
    Nanomax,
    Sixs2019,
    Sixs2022,
    Cristal,
    Aps28idb,
    Aps7idd,
    Aps1ide,
    Aps20ide,
    I16,
)
