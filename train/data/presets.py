"""The data sets of the paper's table 1, in the layouts that they are published in, as data.

None of them comes with this project: each is fetched from its publisher under its own licence. The paper's first
version speaks of sixteen data sets; its table, and the version that was accepted, have these fifteen.
"""

from __future__ import annotations

from dataclasses import dataclass

from s2m_edge.errors import ConfigurationError
from s2m_edge.train.data.sample import FOREGROUND, Labelling
from s2m_edge.train.data.splits import SplitPlan


@dataclass(frozen=True)
class DatasetPreset:
    """A published data set.

    Attributes:
        name, title, url, licence: the licence as its publisher states it; read it there before use.
        class_names: foreground classes.
        layout: for people: the paths to expect.
        image, mask: patterns of paths (see layouts.py).
        split: who trains and who tests.
        field_of_view: pattern of the published masks of what the camera saw.
        labelling: how stored values become labels; None for 0/255 and 0/1.
        case_table: a file that names cases, and its columns of stem and case.
        volumes: NIfTI volumes, taken slice by slice.
        neighbours: slices on each side that become colour channels (2.5-D).
        channels: 3 (RGB, or three slices) or 1 (grey).
        patches: train on patches inside the field of view, at native size, instead of whole images.
    """

    name: str
    title: str
    url: str
    licence: str
    class_names: tuple[str, ...]
    layout: str
    image: str
    mask: str
    split: SplitPlan
    field_of_view: str | None = None
    labelling: Labelling | None = None
    case_table: tuple[str, str, str] | None = None
    volumes: bool = False
    neighbours: int = 0
    channels: int = 3
    patches: bool = False

    @property
    def classes(self) -> int:
        """Output channels of a network for it."""
        return 1 if len(self.class_names) == 1 else len(self.class_names) + 1


RESEARCH = "research and education, on the publisher's terms"
DRAWN = "drawn by the hash of the {}: 80 % train, 10 % validation, 10 % test"
VIDEO_FRAMES = "frames of unnamed videos: all test, as is customary; give a split.csv that keeps videos whole to train"
PUBLISHED_TEST = "the published test part; validation is 10 % of the training {}, drawn by hash"
PICTURE = r"\.(?:png|jpe?g|tiff?|bmp)"
NIFTI = r"\.nii(?:\.gz)?"
ENDOVIS_IMAGE = rf"(?P<case>instrument_dataset_\d+)/left_frames/(?P<stem>frame\d+){PICTURE}"
# `Other_labels` is the ultrasound probe and the like: no instrument of the challenge.
ENDOVIS_MASK = rf"(?P<case>instrument_dataset_\d+)/ground_truth/(?!Other)[^/]+/(?P<stem>frame\d+){PICTURE}"
ENDOVIS_LAYOUT = "instrument_dataset_1/left_frames/frame000.png, .../ground_truth/Left_Prograsp_Forceps_labels/..."
ENDOVIS_URL = "https://endovissub2017-roboticinstrumentsegmentation.grand-challenge.org"

PRESETS: tuple[DatasetPreset, ...] = (
    DatasetPreset(
        "kvasir_seg",
        "Kvasir-SEG",
        "https://datasets.simula.no/kvasir-seg",
        f"{RESEARCH}; the same pictures are CC BY 4.0 as the segmentation part of HyperKvasir",
        ("polyp",),
        "images/NAME.jpg, masks/NAME.jpg (HyperKvasir's segmented-images/ alike)",
        rf"images/(?P<stem>[^/]+){PICTURE}",
        rf"masks/(?P<stem>[^/]+){PICTURE}",
        SplitPlan(DRAWN.format("image (patients are not named)")),
    ),
    DatasetPreset(
        "cvc_clinicdb",
        "CVC-ClinicDB",
        "https://polyp.grand-challenge.org/CVCClinicDB",
        RESEARCH,
        ("polyp",),
        "Original/1.tif, Ground Truth/1.tif, and metadata.csv where it is to be split",
        rf"Original/(?P<stem>\d+){PICTURE}",
        rf"Ground ?Truth/(?P<stem>\d+){PICTURE}",
        SplitPlan(
            f"{DRAWN.format('video sequence')}, where metadata.csv (frame_id, sequence_id) names it; else all test",
            unnamed_case="test",
        ),
        case_table=("metadata.csv", "frame_id", "sequence_id"),
    ),
    DatasetPreset(
        "cvc_colondb",
        "CVC-ColonDB",
        "http://vi.cvc.uab.es/colon-qa/cvccolondb",
        RESEARCH,
        ("polyp",),
        "images/1.png, masks/1.png (or Original/, Ground Truth/)",
        rf"(?:images|Original)/(?P<stem>\d+){PICTURE}",
        rf"(?:masks|Ground ?Truth)/p?(?P<stem>\d+){PICTURE}",
        SplitPlan(VIDEO_FRAMES, unnamed_case="test"),
    ),
    DatasetPreset(
        "etis",
        "ETIS-LaribPolypDB",
        "https://polyp.grand-challenge.org/EtisLarib",
        RESEARCH,
        ("polyp",),
        "ETIS-LaribPolypDB/1.tif, Ground Truth/p1.tif (or images/1.png, masks/1.png)",
        rf"(?:ETIS-LaribPolypDB|images)/(?P<stem>\d+){PICTURE}",
        rf"(?:Ground ?Truth|masks)/p?(?P<stem>\d+){PICTURE}",
        SplitPlan(VIDEO_FRAMES, unnamed_case="test"),
    ),
    DatasetPreset(
        "isic2018",
        "ISIC 2018, task 1",
        "https://challenge.isic-archive.com/data/#2018",
        "CC BY-NC 4.0",
        ("lesion",),
        "ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg, "
        "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png, and Validation and Test alike",
        r"ISIC2018_Task1-2_(?P<split>Training|Validation|Test)_Input/(?P<stem>ISIC_\d+)\.jpe?g",
        r"ISIC2018_Task1_(?P<split>Training|Validation|Test)_GroundTruth/(?P<stem>ISIC_\d+)_segmentation\.png",
        SplitPlan("as published", named=(("Training", "train"), ("Validation", "val"), ("Test", "test"))),
    ),
    DatasetPreset(
        "ph2",
        "PH2",
        "https://www.fc.up.pt/addi/ph2%20database.html",
        RESEARCH,
        ("lesion",),
        "IMD003/IMD003_Dermoscopic_Image/IMD003.bmp, IMD003/IMD003_lesion/IMD003_lesion.bmp",
        r"(?P<stem>IMD\d+)/IMD\d+_Dermoscopic_Image/IMD\d+\.bmp",
        r"(?P<stem>IMD\d+)/IMD\d+_lesion/IMD\d+_lesion\.bmp",
        SplitPlan(DRAWN.format("image (patients are not named)")),
    ),
    DatasetPreset(
        "glas",
        "GlaS (Warwick-QU)",
        "https://warwick.ac.uk/fac/cross_fac/tia/data/glascontest",
        RESEARCH,
        ("gland",),
        "train_1.bmp, train_1_anno.bmp, testA_1.bmp, testB_1.bmp, Grade.csv",
        r"(?P<stem>(?P<split>train|testA|testB)_\d+)\.bmp",
        r"(?P<stem>(?P<split>train|testA|testB)_\d+)_anno\.bmp",
        SplitPlan(PUBLISHED_TEST.format("patients (Grade.csv)"), named=(("test[AB]", "test"),), test=0.0),
        labelling=FOREGROUND,  # every gland has its own number
        case_table=("Grade.csv", "name", "patient ID"),
    ),
    DatasetPreset(
        "busi",
        "BUSI, Dataset of Breast Ultrasound Images",
        "https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        RESEARCH,
        ("lesion",),
        "benign/benign (1).png, benign/benign (1)_mask.png, malignant/..., normal/...",
        r"(?:benign|malignant|normal)/(?P<stem>(?:benign|malignant|normal) \(\d+\))\.png",
        r"(?:benign|malignant|normal)/(?P<stem>(?:benign|malignant|normal) \(\d+\))_mask(?:_\d+)?\.png",
        SplitPlan(DRAWN.format("image (patients are not named; some pictures occur twice)")),
        channels=1,
    ),
    DatasetPreset(
        "endovis17_binary",
        "EndoVis 2017 robotic instruments, binary",
        ENDOVIS_URL,
        RESEARCH,
        ("instrument",),
        ENDOVIS_LAYOUT,
        ENDOVIS_IMAGE,
        ENDOVIS_MASK,
        SplitPlan(DRAWN.format("video sequence")),
        labelling=FOREGROUND,
    ),
    DatasetPreset(
        "endovis17_multiclass",
        "EndoVis 2017 robotic instruments, parts",
        ENDOVIS_URL,
        RESEARCH,
        ("shaft", "wrist", "clasper"),
        ENDOVIS_LAYOUT,
        ENDOVIS_IMAGE,
        ENDOVIS_MASK,
        SplitPlan(DRAWN.format("video sequence")),
        labelling=Labelling(((10, 1), (20, 2), (30, 3)), otherwise=0),
    ),
    DatasetPreset(
        "brats2020",
        "BraTS 2020, FLAIR, three neighbouring slices",
        "https://www.med.upenn.edu/cbica/brats2020",
        f"{RESEARCH}, after registration",
        ("necrotic core", "oedema", "enhancing tumour"),
        "MICCAI_BraTS2020_TrainingData/BraTS20_Training_001/BraTS20_Training_001_flair.nii, ..._seg.nii",
        rf"(?P<case>BraTS20_Training_\d+)/BraTS20_Training_\d+_flair{NIFTI}",
        # One case was published with its segmentation under another name.
        rf"(?P<case>BraTS20_Training_\d+)/(?:BraTS20_Training_\d+_seg|W39_1998\.09\.19_Segm){NIFTI}",
        SplitPlan(DRAWN.format("patient, of the training data (the rest is published without truth)")),
        labelling=Labelling(((1, 1), (2, 2), (4, 3))),
        volumes=True,
        neighbours=1,
    ),
    DatasetPreset(
        "acdc",
        "ACDC cardiac MRI",
        "https://www.creatis.insa-lyon.fr/Challenge/acdc",
        "CC BY-NC-SA 4.0",
        ("right ventricle", "myocardium", "left ventricle"),
        "training/patient001/patient001_frame01.nii.gz, ..._frame01_gt.nii.gz, and testing/ alike",
        rf"(?:(?P<split>training|testing)/)?(?P<case>patient\d+)/(?P<stem>patient\d+_frame\d+){NIFTI}",
        rf"(?:(?P<split>training|testing)/)?(?P<case>patient\d+)/(?P<stem>patient\d+_frame\d+)_gt{NIFTI}",
        SplitPlan(PUBLISHED_TEST.format("patients"), named=(("testing", "test"),), test=0.0),
        volumes=True,
        channels=1,
    ),
    DatasetPreset(
        "stare",
        "STARE",
        "https://cecas.clemson.edu/~ahoover/stare/probing",
        RESEARCH,
        ("vessel",),
        "stare-images/im0001.ppm.gz, labels-ah/im0001.ah.ppm.gz",
        r"(?:stare-images/)?(?P<stem>im\d{4})\.ppm(?:\.gz)?",
        r"(?:labels-ah/)?(?P<stem>im\d{4})\.ah\.ppm(?:\.gz)?",
        SplitPlan("drawn by the hash of the image: 70 % train, 10 % validation, 20 % test", test=0.2),
        patches=True,
    ),
    DatasetPreset(
        "drive",
        "DRIVE",
        "https://drive.grand-challenge.org",
        RESEARCH,
        ("vessel",),
        "training/images/21_training.tif, training/1st_manual/21_manual1.gif, training/mask/21_training_mask.gif, "
        "and test/ alike",
        r"(?P<split>training|test)/images/(?P<stem>\d+)_(?:training|test)\.tif",
        r"(?P<split>training|test)/1st_manual/(?P<stem>\d+)_manual1\.gif",
        SplitPlan(PUBLISHED_TEST.format("images"), named=(("test", "test"),), test=0.0),
        field_of_view=r"(?P<split>training|test)/mask/(?P<stem>\d+)_(?:training|test)_mask\.gif",
        patches=True,
    ),
    DatasetPreset(
        "chase_db1",
        "CHASE_DB1",
        "https://researchdata.kingston.ac.uk/96",
        "CC BY 4.0",
        ("vessel",),
        "Image_01L.jpg, Image_01L_1stHO.png",
        r"(?P<stem>Image_(?P<case>\d\d)[LR])\.jpg",
        r"(?P<stem>Image_(?P<case>\d\d)[LR])_1stHO\.png",
        SplitPlan(
            "as is customary, by child: 1 to 10 train, of which the last two (four images) validate; 11 to 14 test",
            named=(("0[1-8]", "train"), ("09|10", "val"), ("1[1-4]", "test")),
        ),
        patches=True,
    ),
)


OTHER_TITLES = {"sunnybrook_lv": "Sunnybrook Cardiac Data, left ventricle"}
"""Data sets without a preset that bundled networks were trained on."""


def preset_names() -> tuple[str, ...]:
    """All names, in the paper's order."""
    return tuple(preset.name for preset in PRESETS)


def find_preset(name: str) -> DatasetPreset:
    """The preset of a name.

    Raises:
        ConfigurationError: there is none.
    """
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise ConfigurationError(f"there is no preset {name!r}", f"Choose --preset {', '.join(preset_names())}.")


def dataset_title(name: str) -> str:
    """A data set's name for people: of a preset, or of another that a bundled network was trained on; else `name`."""
    return {**{preset.name: preset.title for preset in PRESETS}, **OTHER_TITLES}.get(name, name)
