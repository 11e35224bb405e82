"""What is published where: one entry per published checkpoint, as data.

An entry says which network a checkpoint belongs to and with which options, where its files are, how its input
must be prepared, and under which terms it may be used. Nothing here reads a file or the network. Facts that
could not be confirmed are given as "unknown" or None.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gasp.errors import UsageError
from gasp.weights.preprocessing import KINETICS_MEAN, KINETICS_STD
from gasp.weights.preprocessing import Preprocessing as Preprocessing

MODELS_FOLDER = "gazenet/models"
"""Where the files of 2021 lie below a working directory; the same below a cache folder or a mirror."""


@dataclass(frozen=True)
class Licence:
    """Terms of use as stated by the publisher. ``commercial`` is None where they do not say."""

    name: str
    commercial: bool | None
    url: str = ""
    note: str = ""

    @property
    def restricted(self) -> bool:
        """Whether the user must accept the terms first: all but those that clearly allow every use."""
        return self.commercial is not True


@dataclass(frozen=True)
class Score:
    """A published figure: ``metric`` on ``data``, and where it is stated."""

    data: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch: ``name`` in the entry's folder, from the first of ``urls`` that works.

    ``archive`` is "tar" or "zip" for files that are unpacked into the folder, without the leading folder
    ``strip``. ``sha256`` and ``size`` (bytes) are None where nobody published them; they are recorded at
    the first download and checked from then on.
    """

    name: str
    urls: tuple[str, ...]
    archive: str | None = None
    strip: str = ""
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Layout:
    """How a file holds its tensors: under ``key`` ("": a bare state dict), names starting with ``prefix``."""

    key: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Entry:
    """One published checkpoint.

    ``network`` is a name of :func:`gasp.list_models`, or None for files that other programs run (ONNX).

    ``folder`` is relative to :data:`MODELS_FOLDER`, ``checkpoint`` relative to ``folder`` ("." when the
    folder itself is the checkpoint). ``other_folders`` are further places where existing files are looked
    for.

    ``inputs`` are the modalities of a GASP network in order, empty where nobody published them.
    ``options_from_file``: the options are not published either, but the tensors of the file tell them.
    """

    name: str
    title: str
    network: str | None
    options: dict[str, Any]
    folder: str
    files: tuple[RemoteFile, ...]
    checkpoint: str
    layout: Layout
    preprocessing: Preprocessing
    licence: Licence
    training_data: str
    citation: str
    homepage: str
    scores: tuple[Score, ...] = ()
    aliases: tuple[str, ...] = ()
    other_folders: tuple[str, ...] = ()
    note: str = ""
    inputs: tuple[str, ...] = field(default=())
    options_from_file: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


# --- shared facts ----------------------------------------------------------------------------------------

_HAMBURG = "https://www2.informatik.uni-hamburg.de/WTM/corpora/GASP"
_DRIVE = "https://drive.google.com/uc?id="

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ACTIVITYNET_MEAN = (114.7748 / 255, 107.7354 / 255, 99.4750 / 255)

_MIT = Licence("MIT", commercial=True)
_UNKNOWN = Licence("unknown", commercial=None, note="No terms of use are known; ask the authors.")

GASP_INPUTS = ("captured", "dave", "esr9", "videogaze", "gaze360")
"""The modalities of the published GASP networks, in order, unless an entry says otherwise."""

_GASP_CITATION = (
    "F. Abawi, T. Weber, S. Wermter: GASP: Gated Attention for Saliency Prediction. IJCAI 2021, pp. 584-591. "
    "doi:10.24963/ijcai.2021/81"
)


def _gasp(
    key: str,
    title: str,
    network: str,
    identifier: str,
    window: int,
    *,
    folder: str = "",
    inputs: tuple[str, ...] = GASP_INPUTS,
    note: str = "",
) -> Entry:
    """An entry of the GASP family.

    ``folder`` is its name on disk, where that differs from the address; the server may have it under both. Without
    ``inputs``, nobody published the network's options.
    """
    address = f"pretrained_{network.lower()}"
    base = "saliency_prediction/gasp/checkpoints"
    remote = f"{base}/{address}/{network}/{identifier}"
    local = f"{base}/{folder or address}/{network}/{identifier}"
    places = tuple(dict.fromkeys((remote, local)))
    options: dict[str, Any] = {"modalities": len(inputs)} if inputs else {}
    if inputs and window > 1:
        options |= {"sequence_len": window, "sequence_norm": True}
    return Entry(
        name=f"gasp-{key.replace('_', '-')}",
        title=title,
        network=network,
        options=options,
        folder=local,
        files=(
            RemoteFile(
                "last_model.pt", tuple(f"{_HAMBURG}/{MODELS_FOLDER}/{p}/last_model.pt" for p in places)
            ),
        ),
        checkpoint="last_model.pt",
        layout=Layout(),
        preprocessing=Preprocessing(120, 120, KINETICS_MEAN, KINETICS_STD, window, window - 1),
        licence=_UNKNOWN,
        training_data=(
            "Social-event part of AVE (DIEM, Coutrot 1, Coutrot 2; split train_ave), fixation maps "
            "prepared by STAViS"
        ),
        citation=_GASP_CITATION,
        homepage="https://github.com/knowledgetechnologyuhh/gasp",
        aliases=(key,),
        other_folders=(remote,) if remote != local else (),
        note=note,
        inputs=inputs,
        options_from_file=not inputs,
    )


def _stavis(split: int, audiovisual: bool) -> Entry:
    kind = "audiovisual" if audiovisual else "visual"
    folder = "stavis_audiovisual" if audiovisual else "stavis_visual_only"
    address = "cvsp.cs.ntua.gr/research/stavis/data/pretrained_models.tar.gz"
    return Entry(
        name=f"stavis-{kind}-split{split}",
        title=f"STAViS, {kind}, split {split}",
        network="stavis",
        options={"audiovisual": audiovisual},
        folder="saliency_prediction/stavis/checkpoints/pretrained_stavis_orig",
        files=(
            RemoteFile(
                "pretrained_models.tar.gz",
                (f"https://{address}", f"http://{address}"),
                archive="tar",
                strip="pretrained_models",
            ),
        ),
        checkpoint=f"{folder}/{kind}_split{split}_save_60.pth",
        layout=Layout(key="state_dict", prefix="module."),
        preprocessing=Preprocessing(
            112,
            112,
            _ACTIVITYNET_MEAN,
            (1 / 255, 1 / 255, 1 / 255),
            window=16,
            source_index=8,
            sound="waveform at its own rate times 256, Hann window, centred in 35280 samples"
            if audiovisual
            else "",
        ),
        licence=_MIT,
        training_data=f"AVAD, Coutrot 1, Coutrot 2, DIEM, ETMD, SumMe (training part of split {split})",
        citation=(
            "A. Tsiami, P. Koutras, P. Maragos: STAViS: Spatio-Temporal AudioVisual Saliency Network. "
            "CVPR 2020"
        ),
        homepage="https://github.com/atsiami/STAViS",
        note="All six STAViS checkpoints come in one archive.",
    )


def _vinet(name: str, title: str, file: str, sound: str) -> Entry:
    folder = "saliency_prediction/avinet/checkpoints/pretrained_avinet_orig"
    return Entry(
        name=name,
        title=title,
        network=name,
        options={},
        folder=folder,
        files=(RemoteFile(file, (f"{_HAMBURG}/{MODELS_FOLDER}/{folder}/{file}",)),),
        checkpoint=file,
        layout=Layout(),
        preprocessing=Preprocessing(
            384, 224, _IMAGENET_MEAN, _IMAGENET_STD, window=32, source_index=31, sound=sound
        ),
        licence=_MIT,
        training_data="AVE (the file name's Dave is that data set)",
        citation=(
            "S. Jain, P. Yarlagadda, S. Jyoti, S. Karthik, R. Subramanian, V. Gandhi: ViNet: Pushing the "
            "limits of Visual Modality for Audio-Visual Saliency Prediction. IROS 2021"
        ),
        homepage="https://github.com/samyak0210/ViNet",
    )


_ESR9_FILES = ("Net-Base-Shared_Representations.pt", *(f"Net-Branch_{i}.pt" for i in range(1, 10)))
_ESR9_ADDRESS = (
    "https://github.com/siqueira-hc/Efficient-Facial-Feature-Learning-with-Wide-Ensemble-based-Convolutional-"
    "Neural-Networks/raw/a827cae59a41eed58c4b94a094758a91097ef312/model/ml/trained_models/esr_9"
)
_TASED_UPDATED = ("DHF1K benchmark", "upstream README, updated model")


# --- the entries -----------------------------------------------------------------------------------------

ENTRIES: tuple[Entry, ...] = (
    _gasp(
        "seqdamalstmgmu",
        "GASP, DAM + LARGMU, 10 frames (best published)",
        "SequenceGASPDAMEncALSTMGMUConv",
        "1e49c1fe600c43f09291c4e6710c769c",
        window=10,
    ),
    _gasp(
        "seqdamalstmgmu_110nofer",
        "GASP, DAM + LARGMU, 10 frames, without facial expression",
        "SequenceGASPDAMEncALSTMGMUConv",
        "ba69921766274fe69363b9cd9b5d4b76",
        window=10,
        inputs=("captured", "dave", "videogaze", "gaze360"),
    ),
    _gasp(
        "seqdamgmualstm",
        "GASP, DAM + ARGMU, 10 frames",
        "SequenceGASPDAMEncGMUALSTMConv",
        "53ea3d5639d647fc86e3974d6e1d1719",
        window=10,
        folder="pretrained_seqeuncegaspdamencgmualstmconv",  # spelled so on disk in 2021
    ),
    _gasp(
        "seqdamalstmgmu_abd7f5d2",
        "GASP, DAM + LARGMU, a further run",
        "SequenceGASPDAMEncALSTMGMUConv",
        "abd7f5d2c76147f685c3082f5bdb733d",
        window=10,
        inputs=(),
        note=(
            "Its modalities and context are not published: their numbers are read from the tensors when it is loaded, "
            "and the names must be given unless there are the usual five."
        ),
    ),
    _gasp(
        "damgmu",
        "GASP, DAM + GMU, single frame",
        "GASPDAMEncGMUConv",
        "c9dd4df04e87469ea9914ea67af764b6",
        window=1,
    ),
    Entry(
        name="dave",
        title="DAVE",
        network="dave",
        options={},
        folder="saliency_prediction/dave/checkpoints/pretrained_dave_orig",
        files=(RemoteFile("model.pth.tar", (f"{_DRIVE}1hVf2PKp9UQNYMeG-tyT__0qJDHkj79sV",)),),
        checkpoint="model.pth.tar",
        layout=Layout(key="state_dict", prefix="module."),
        preprocessing=Preprocessing(
            320,
            256,
            KINETICS_MEAN,
            KINETICS_STD,
            window=16,
            source_index=15,
            sound="16 log-mel patches of 64 frames x 64 bands, 16 kHz",
        ),
        licence=Licence(
            "none stated",
            commercial=None,
            url="https://github.com/hrtavakoli/DAVE",
            note="No licence file; copyright notice of the author.",
        ),
        training_data="AVE (DIEM, Coutrot 1, Coutrot 2)",
        citation=(
            "H. R. Tavakoli, A. Borji, E. Rahtu, J. Kannala: DAVE: A Deep Audio-Visual Embedding for "
            "Dynamic Saliency Prediction. arXiv:1905.10693, 2019"
        ),
        homepage="https://github.com/hrtavakoli/DAVE",
    ),
    *(_stavis(split, audiovisual) for audiovisual in (True, False) for split in (1, 2, 3)),
    Entry(
        name="tased",
        title="TASED-Net v2",
        network="tased",
        options={},
        folder="saliency_prediction/tased/checkpoints/pretrained_tased_orig",
        files=(
            RemoteFile(
                "model.pt",
                (
                    f"{_DRIVE}1pn_ioHdeUzBcX7FBTP8S0f_Ebxpp1Hlf",
                    f"{_DRIVE}1y4KSTm-e7kP84k0IyVI-rRtmYZkrC-wL",
                ),
            ),
        ),
        checkpoint="model.pt",
        layout=Layout(),
        preprocessing=Preprocessing(384, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), window=32, source_index=31),
        licence=_MIT,
        training_data="DHF1K; encoder first trained on Kinetics-400",
        citation=(
            "K. Min, J. J. Corso: TASED-Net: Temporally-Aggregating Spatial Encoder-Decoder Network for "
            "Video Saliency Detection. ICCV 2019, pp. 2394-2403"
        ),
        homepage="https://github.com/MichiganCOG/TASED-Net",
        scores=(
            Score(_TASED_UPDATED[0], "NSS", 2.797, _TASED_UPDATED[1]),
            Score(_TASED_UPDATED[0], "CC", 0.489, _TASED_UPDATED[1]),
            Score(_TASED_UPDATED[0], "SIM", 0.393, _TASED_UPDATED[1]),
            Score(_TASED_UPDATED[0], "AUC-Judd", 0.897, _TASED_UPDATED[1]),
            Score(_TASED_UPDATED[0], "shuffled AUC", 0.712, _TASED_UPDATED[1]),
        ),
        note="The 2021 code and the upstream README name different addresses; both are tried, in that order.",
    ),
    Entry(
        name="unisal",
        title="UNISAL",
        network="unisal",
        options={},
        folder="saliency_prediction/unisal/checkpoints/pretrained_unisal_orig",
        files=(
            RemoteFile(
                "model.pth",
                (
                    "https://github.com/rdroste/unisal/raw/master/training_runs/pretrained_unisal/weights_best.pth",
                ),
            ),
        ),
        checkpoint="model.pth",
        layout=Layout(),
        preprocessing=Preprocessing(384, 224, _IMAGENET_MEAN, _IMAGENET_STD, window=12, source_index=11),
        licence=Licence("Apache-2.0", commercial=True),
        training_data="DHF1K, Hollywood-2, UCF Sports, SALICON",
        citation="R. Droste, J. Jiao, J. A. Noble: Unified Image and Video Saliency Modeling. ECCV 2020",
        homepage="https://github.com/rdroste/unisal",
        note="Size and window are those of the DHF1K domain; the network returns one map per frame.",
    ),
    _vinet("vinet", "ViNet", "ViNet_Dave.pt", sound=""),
    _vinet(
        "avinet",
        "AViNet",
        "AViNet_Dave.pt",
        sound="waveform at its own rate times 256, Hann window, centred in 70560 samples",
    ),
    Entry(
        name="gaze360",
        title="Gaze360",
        network="gaze360",
        options={},
        folder="gaze_estimation/gaze360/checkpoints/pretrained_gaze360_orig",
        files=(
            RemoteFile(
                "model.pth.tar",
                (
                    "https://gaze360.csail.mit.edu/files/gaze360_model.pth.tar",
                    "http://gaze360.csail.mit.edu/files/gaze360_model.pth.tar",
                ),
            ),
        ),
        checkpoint="model.pth.tar",
        layout=Layout(key="state_dict", prefix="module."),
        preprocessing=Preprocessing(224, 224, _IMAGENET_MEAN, _IMAGENET_STD, window=7, source_index=3),
        licence=Licence(
            "Gaze360 research licence",
            commercial=False,
            url="https://github.com/erkil1452/gaze360/blob/master/LICENSE.md",
            note="Research use only; no commercial use, no passing on.",
        ),
        training_data="Gaze360 (197588 frames, 238 subjects)",
        citation=(
            "P. Kellnhofer, A. Recasens, S. Stent, W. Matusik, A. Torralba: Gaze360: Physically "
            "Unconstrained Gaze Estimation in the Wild. ICCV 2019"
        ),
        homepage="http://gaze360.csail.mit.edu",
    ),
    Entry(
        name="videogaze",
        title="VideoGaze",
        network="videogaze",
        options={},
        folder="gaze_following/videogaze/checkpoints/pretrained_videogaze_orig",
        files=(
            RemoteFile(
                "model.pth.tar",
                (
                    f"{_HAMBURG}/{MODELS_FOLDER}/gaze_following/videogaze/checkpoints/pretrained_videogaze_orig/"
                    "model.pth.tar",
                ),
            ),
        ),
        checkpoint="model.pth.tar",
        layout=Layout(key="state_dict"),
        preprocessing=Preprocessing(227, 227, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), window=7, source_index=3),
        licence=_UNKNOWN,
        training_data="VideoGaze",
        citation="A. Recasens, C. Vondrick, A. Khosla, A. Torralba: Following Gaze in Video. ICCV 2017",
        homepage="https://github.com/recasens/Gaze-Following",
        note=(
            "The original address (http://videogazefollow.csail.mit.edu/downloads/model.pth.tar) is disabled."
        ),
    ),
    Entry(
        name="esr9",
        title="ESR-9",
        network="esr9",
        options={},
        folder="emotion_recognition/esr9/checkpoints/pretrained_esr9_orig",
        files=tuple(RemoteFile(name, (f"{_ESR9_ADDRESS}/{name}",)) for name in _ESR9_FILES),
        checkpoint=".",
        layout=Layout(),
        preprocessing=Preprocessing(96, 96, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), window=1, source_index=0),
        licence=Licence(
            "MIT", commercial=True, note="That of the repository; the training data have terms of their own."
        ),
        training_data="AffectNet",
        citation=(
            "H. Siqueira, S. Magg, S. Wermter: Efficient Facial Feature Learning with Wide "
            "Ensemble-based Convolutional "
            "Neural Networks. AAAI 2020"
        ),
        homepage=_ESR9_ADDRESS.split("/raw/")[0],
        scores=(
            Score("AffectNet, 8 classes", "accuracy", 0.593, "paper"),
            Score("AffectNet", "RMSE of arousal", 0.33, "paper"),
            Score("AffectNet", "RMSE of valence", 0.36, "paper"),
            Score("FER+", "accuracy", 0.87153, "paper"),
        ),
    ),
    Entry(
        name="light-asd",
        title="Light-ASD",
        network="light_asd",
        options={},
        folder="active_speaker/light_asd/checkpoints/pretrained_light_asd_ava",
        files=(
            RemoteFile(
                "pretrain_AVA_CVPR.model",
                (
                    "https://github.com/Junhua-Liao/Light-ASD/raw/main/weight/pretrain_AVA_CVPR.model",
                    "https://raw.githubusercontent.com/Junhua-Liao/Light-ASD/main/weight/pretrain_AVA_CVPR.model",
                ),
                sha256="d44bc3ea7baa8e0946fa3921311714a630ed8b90a1928fab0dbe30d918909317",
                size=4175289,
            ),
        ),
        checkpoint="pretrain_AVA_CVPR.model",
        layout=Layout(),
        preprocessing=Preprocessing(
            112,
            112,
            (0.0, 0.0, 0.0),
            (1 / 255, 1 / 255, 1 / 255),
            window=25,
            source_index=24,
            sound="MFCC, 100 rows per second, 16-bit samples at 16 kHz",
        ),
        licence=Licence(
            "MIT",
            commercial=True,
            url="https://github.com/Junhua-Liao/Light-ASD/blob/main/LICENSE",
            note="That of the repository in which the file lies; its README asks for citation. The films of the "
            "training set belong to others.",
        ),
        training_data="AVA-ActiveSpeaker",
        citation=(
            "J. Liao, H. Duan, K. Feng, W. Zhao, Y. Yang, L. Chen: A Light Weight Model for Active Speaker Detection. "
            "CVPR 2023"
        ),
        homepage="https://github.com/Junhua-Liao/Light-ASD",
        scores=(Score("AVA-ActiveSpeaker validation", "mAP", 0.9406, "paper"),),
    ),
    Entry(
        name="s3fd",
        title="S3FD",
        network="s3fd",
        options={},
        folder="face_detection/s3fd",
        files=(
            RemoteFile(
                "s3fd-619a316812.pth",
                (
                    "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
                    "https://huggingface.co/camenduru/Wav2Lip/resolve/main/checkpoints/s3fd-619a316812.pth",
                ),
                sha256="619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
                size=89843225,
            ),
        ),
        checkpoint="s3fd-619a316812.pth",
        layout=Layout(),
        preprocessing=Preprocessing(
            640,
            640,
            (104 / 255, 117 / 255, 123 / 255),
            (1 / 255, 1 / 255, 1 / 255),
            window=1,
            source_index=0,
            colour_order="BGR",
        ),
        licence=Licence(
            "none stated",
            commercial=None,
            url="https://github.com/1adrianb/face-alignment",
            note="face-alignment, which publishes the file, is BSD-3-Clause; the file states no terms of its own.",
        ),
        training_data="WIDER FACE",
        citation=(
            "S. Zhang, X. Zhu, Z. Lei, H. Shi, X. Wang, S. Z. Li: S3FD: Single Shot Scale-invariant Face "
            "Detector. ICCV 2017"
        ),
        homepage="https://github.com/1adrianb/face-alignment",
        note="Takes pictures of any size.",
    ),
    Entry(
        name="yunet",
        title="YuNet",
        network=None,
        options={},
        folder="face_detection/yunet",
        files=(
            RemoteFile(
                "face_detection_yunet_2023mar.onnx",
                tuple(
                    f"{place}/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
                    for place in (
                        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main",
                        "https://huggingface.co/opencv/opencv_zoo/resolve/main",
                    )
                ),
                sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            ),
        ),
        checkpoint="face_detection_yunet_2023mar.onnx",
        layout=Layout(),
        preprocessing=Preprocessing(
            640,
            640,
            (0.0, 0.0, 0.0),
            (1 / 255, 1 / 255, 1 / 255),
            window=1,
            source_index=0,
            colour_order="BGR",
        ),
        licence=Licence(
            "MIT",
            commercial=True,
            url="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
        ),
        training_data="WIDER FACE",
        citation=(
            "W. Wu, H. Peng, S. Yu: YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence "
            "Research 20, pp. 656-665, 2023"
        ),
        homepage="https://github.com/opencv/opencv_zoo",
        scores=(
            Score("WIDER FACE validation, easy", "AP", 0.834, "OpenCV Zoo README"),
            Score("WIDER FACE validation, medium", "AP", 0.824, "OpenCV Zoo README"),
            Score("WIDER FACE validation, hard", "AP", 0.708, "OpenCV Zoo README"),
        ),
        note="An ONNX file that OpenCV runs.",
    ),
)


# --- looking up ------------------------------------------------------------------------------------------


def list_entries() -> list[str]:
    """Names of all published checkpoints, sorted."""
    return sorted(entry.name for entry in ENTRIES)


def find_entries(name: str) -> list[Entry]:
    """The entries that ``name`` means, at least one.

    ``name`` is an entry's name or alias, a network's name (all its checkpoints), a pattern ("gasp-*"),
    "all", or a 2021 name: a folder below gazenet/models, where the trailing part "<...>" means everything
    below. An unknown name raises :class:`~gasp.errors.UsageError` with the nearest names.
    """
    found = [entry for entry in ENTRIES if name == entry.name or name in entry.aliases]
    found = found or [entry for entry in ENTRIES if _means(name, entry)]
    if not found:
        known = sorted({*list_entries(), *(entry.network for entry in ENTRIES if entry.network)})
        if "/" in name:
            known = _folders_of_2021()
        near = difflib.get_close_matches(name, known, n=3) or known
        raise UsageError(f"No published checkpoint is called {name!r}. Did you mean: {', '.join(near)}?")
    return found


def _folders_of_2021() -> list[str]:
    """The names of 2021: folders of checkpoints, and all that lies below the ones above them."""
    folders = {entry.folder for entry in ENTRIES}
    above = {"/".join(folder.split("/")[:depth]) for folder in folders for depth in (1, 2)}
    return sorted(folders | {f"{folder}/<...>" for folder in above})


def find_entry(name: str) -> Entry:
    """The single entry that ``name`` means; :class:`~gasp.errors.UsageError` when there are several."""
    found = find_entries(name)
    if len(found) > 1:
        names: Sequence[str] = [entry.name for entry in found]
        raise UsageError(f"{name!r} means {len(found)} checkpoints; choose one: {', '.join(names)}.")
    return found[0]


def _means(name: str, entry: Entry) -> bool:
    if name == "all" or name == entry.network or fnmatchcase(entry.name, name):
        return True
    folders = (entry.folder, *entry.other_folders)
    if name.endswith("<...>"):
        return any(folder.startswith(name.removesuffix("<...>")) for folder in folders)
    return name.strip("/") in folders
