"""Small networks of every family of published checkpoints, and their weights' published names.

Unlike in the package, patterns are from our names to the published ones.
"""

import re

from imigue_lab.models.graph.agcn import build_aagcn, build_agcn
from imigue_lab.models.graph.ctrgcn import build_ctrgcn, build_dgstgcn
from imigue_lab.models.graph.stgcn import build_stgcn, build_stgcnpp
from imigue_lab.models.mamp import build_mamp
from imigue_lab.models.pictures.dscnet import build_dscnet_rgb, build_msstnet
from imigue_lab.models.pictures.mvit import build_mvitv2
from imigue_lab.models.pictures.poseconv3d import build_poseconv3d, build_rgbpose
from imigue_lab.models.pictures.tsm import build_tsm
from imigue_lab.models.pictures.video_swin import build_video_swin
from imigue_lab.models.pictures.videomae import build_videomae
from imigue_lab.models.swinface import build_swinface

# Published names of ours, in the order in which they are replaced.
ORIGINAL = (
    (r"^norm\.", "data_bn."),
    (r"^head\.", "fc."),
    (r"^blocks\.(\d+)\.", lambda block: f"l{int(block[1]) + 1}."),
    (r"\.graph\.learned", ".gcn1.PA"),
    (r"\.graph\.", ".gcn1."),
    (r"\.time\.", ".tcn1."),
    (r"\.residual\.0\.", ".residual.conv."),
    (r"\.residual\.1\.", ".residual.bn."),
    (r"1\.norm\.", "1.bn."),
    (r"\.skip\.", ".down."),
)
PYSKL = (
    (r"^norm\.", "backbone.data_bn."),
    (r"^head\.", "cls_head.fc_cls."),
    (r"^blocks\.", "backbone.gcn."),
    (r"\.graph\.learned", ".gcn.A"),
    (r"\.graph\.", ".gcn."),
    (r"\.time\.", ".tcn."),
    (r"\.residual\.0\.", ".residual.conv."),
    (r"\.residual\.1\.", ".residual.bn."),
    (r"cn\.norm\.", "cn.bn."),
    (r"\.skip\.", ".down."),
)
AAGCN = (
    (r"\.theta\.", ".conv_a."),
    (r"\.phi\.", ".conv_b."),
    (r"\.weights\.", ".conv_d."),
    (r"\.emphasis\.joints\.", ".conv_sa."),
    (r"\.emphasis\.frames\.", ".conv_ta."),
    (r"\.emphasis\.squeeze\.", ".fc1c."),
    (r"\.emphasis\.restore\.", ".fc2c."),
)
SIX_BRANCHES = (
    (r"\.branches\.5\.look\.", ".branches.5."),
    (r"\.shrink\.", "."),
    (r"\.look\.", ".3.conv."),
    (r"\.join\.", ".transform."),
)
CTRGCN = (
    (r"\.refinements\.", ".convs."),
    (r"\.first\.", ".conv1."),
    (r"\.second\.", ".conv2."),
    (r"\.values\.", ".conv3."),
    (r"\.expand\.", ".conv4."),
    (r"\.branches\.3\.look\.", ".branches.3.0."),
    (r"\.branches\.3\.norm\.", ".branches.3.1."),
    (r"\.branches\.2\.norm\.", ".branches.2.4."),
    (r"\.shrink\.", "."),
    (r"\.look\.", ".3.conv."),
    (r"(\.branches\.[01])\.norm\.", r"\1.3.bn."),
)
RESNET = (
    (r"\.(\d+)\.squeeze\.", r".\1.conv1."),
    (r"\.(\d+)\.look\.", r".\1.conv2."),
    (r"\.(\d+)\.expand\.", r".\1.conv3."),
    (r"\.(\d+)\.skip\.", r".\1.downsample."),
    (r"\.(conv\d|downsample)\.0\.", r".\1.conv."),
    (r"\.(conv\d|downsample)\.1\.", r".\1.bn."),
)
TSM = (
    (r"^head\.", "new_fc."),
    (r"^net\.", "base_model."),
    (r"\.conv1\.1\.", ".conv1.net."),
)
TRANSFORMER = ((r"\.mlp\.0\.", ".mlp.fc1."), (r"\.mlp\.3\.", ".mlp.fc2."))
MASKED = (
    (r"^encoder\.", ""),
    (r"\.self_attn\.in_proj_", ".attn.qkv."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.linear(\d)\.", r".mlp.fc\1."),
)
VIDEOMAE = (
    (r"^encoder\.embed\.", "patch_embed.proj."),
    (r"^head\.1\.", "head."),
    (r"^head\.0\.", "fc_norm."),
    *MASKED,
)
NAMES = {
    "2s-agcn": (
        *AAGCN,
        (r"\.time\.0\.", ".time.conv."),
        (r"\.time\.1\.", ".time.bn."),
        *ORIGINAL,
    ),
    "st-gcn": (
        (r"^norm\.", "data_bn."),
        (r"^head\.", "fcn."),
        (r"^blocks\.(\d+)\.graph\.importance", r"edge_importance.\1"),
        (r"^blocks\.", "st_gcn_networks."),
        (r"\.graph\.weights\.", ".gcn.conv."),
        (r"\.graph\.norm\.", ".tcn.0."),
        (r"\.time\.conv\.", ".tcn.2."),
        (r"\.time\.norm\.", ".tcn.3."),
    ),
    "pyskl/stgcn": ((r"\.importance", ".PA"), (r"\.weights\.", ".conv."), *PYSKL),
    "pyskl/stgcn++": ((r"\.weights\.", ".conv."), *SIX_BRANCHES, *PYSKL),
    "aagcn": (*AAGCN, *ORIGINAL),
    "pyskl/aagcn": (*AAGCN, *PYSKL),
    "ctr-gcn": (*CTRGCN, *ORIGINAL),
    "pyskl/ctrgcn": (
        *CTRGCN,
        *PYSKL,
        (r"^backbone\.gcn\.(\d+)\.([gt])cn\.", r"backbone.net.\1.\2cn1."),
    ),
    "pyskl/dgstgcn": (
        (r"\.before\.", ".pre."),
        (r"\.after\.", ".post."),
        (r"\.first\.", ".conv1."),
        (r"\.second\.", ".conv2."),
        (r"\.gamma", ".add_coeff"),
        *SIX_BRANCHES,
        *PYSKL,
    ),
    "pyskl/posec3d": (
        (r"^head\.", "cls_head.fc_cls."),
        (r"^stem\.0\.", "backbone.conv1.conv."),
        (r"^stem\.1\.", "backbone.conv1.bn."),
        (r"^stages\.(\d+)\.", lambda stage: f"backbone.layer{int(stage[1]) + 1}."),
        *RESNET,
    ),
    "rgbpose-conv3d": (
        (r"^(rgb|pose)\.head\.", r"cls_head.fc_\1."),
        (r"^to_rgb\.(\d)\.", lambda key: f"rgb.layer{int(key[1]) + 2}_lateral.conv."),
        (r"^to_pose\.(\d)\.0\.", lambda key: f"pose.layer{int(key[1]) + 1}_lateral.conv."),
        (r"^to_pose\.(\d)\.1\.", lambda key: f"pose.layer{int(key[1]) + 1}_lateral.bn."),
        (r"^(rgb|pose)\.stem\.0\.", r"\1.conv1.conv."),
        (r"^(rgb|pose)\.stem\.1\.", r"\1.conv1.bn."),
        (r"^(rgb|pose)\.stages\.(\d+)\.", lambda key: f"{key[1]}.layer{int(key[2]) + 1}."),
        *RESNET,
        (r"^(rgb|pose)\.", r"backbone.\1_path."),
    ),
    "tsm-r50": TSM,
    "dscnet/rgb": (
        (r"^motion\.gather\.", "TSM_intrada.m1.0."),
        (r"^motion\.gate\.", "TSM_intrada.m2.0."),
        (r"^tsm\.", ""),
        *TSM,
    ),
    "dscnet/msst": (
        (r"^head\.", "model.last_linear."),
        (r"^pools\.0\.", "model.avgpool."),
        (r"^pools\.1\.", "model.avgpool2."),
        (
            r"^blocks\.(\d+)\.branches\.(\d+)\.",
            lambda key: f"model.m{int(key[1]) + 1}.conv{2 * int(key[2]) + 1}.",
        ),
    ),
    "video-swin": (
        (r"^features\.(\d+)\.(?=\d)", lambda key: f"layers.{int(key[1]) // 2}.blocks."),
        (r"^features\.(\d+)\.", lambda key: f"layers.{int(key[1]) // 2}.downsample."),
        (r"^(layers|patch_embed|norm)\.", r"backbone.\1."),
        (r"^head\.", "cls_head.fc_cls."),
        *TRANSFORMER,
    ),
    "slowfast/mvitv2-s": (
        (r"^pos_encoding\.class_token", "cls_token"),
        (r"^conv_proj\.", "patch_embed.proj."),
        (r"\.project\.0\.", ".proj."),
        (r"\.project\.", ".proj."),
        (r"\.pool_([qkv])\.pool\.", r".pool_\1."),
        (r"\.pool_([qkv])\.norm_act\.0\.", r".norm_\1."),
        (r"^head\.1\.", "head.projection."),
        *TRANSFORMER,
    ),
    "swinface": TRANSFORMER,
    "mamp": (
        (r"^encoder\.time$", "temp_embed"),
        (r"^encoder\.place$", "pos_embed"),
        (r"^encoder\.embed\.", "joints_embed.proj."),
        (r"^head\.0\.", "head.fc1."),
        (r"^head\.1\.", "head.bn."),
        (r"^head\.3\.", "head.fc2."),
        *MASKED,
    ),
    "videomae": VIDEOMAE,
    "videomae-v2": VIDEOMAE,
}
MMACTION = {  # where mmaction2 1.x calls the same network's weights otherwise
    "pyskl/posec3d": NAMES["pyskl/posec3d"],
    "rgbpose-conv3d": NAMES["rgbpose-conv3d"],
    "tsm-r50": (
        (r"^head\.", "cls_head.fc_cls."),
        (r"^net\.conv1\.", "backbone.conv1.conv."),
        (r"^net\.bn1\.", "backbone.conv1.bn."),
        (r"^net\.", "backbone."),
        (r"\.(\d+)\.conv1\.1\.", r".\1.conv1.conv.net."),
        (r"\.(\d+)\.conv([123])\.(?=weight)", r".\1.conv\2.conv."),
        (r"\.(\d+)\.bn([123])\.", r".\1.conv\2.bn."),
        (r"\.downsample\.0\.", ".downsample.conv."),
        (r"\.downsample\.1\.", ".downsample.bn."),
    ),
    "video-swin": ((r"^norm\.", "norm3."), (r"^norm3", "backbone.norm3"), *NAMES["video-swin"]),
    "slowfast/mvitv2-s": (
        (r"^conv_proj\.", "patch_embed.projection."),
        (r"^norm\.", "norm2."),
        (r"^head\.1\.", "cls_head.fc_cls."),
        *NAMES["slowfast/mvitv2-s"],
        (r"^(?!cls_head\.)", "backbone."),
    ),
}
ODD = {"channels": 2, "persons": 3, "width": 12, "depths": (2, 1), "mask_missing": False}
BUILT = {
    "st-gcn": lambda: build_stgcn("kinect20", 4, **ODD),
    "pyskl/stgcn": lambda: build_stgcn("openpose18", 4, **ODD | {"persons": 1}),
    "pyskl/stgcn++": lambda: build_stgcnpp("body25", 4, **ODD | {"persons": 1}),
    "aagcn": lambda: build_aagcn("coco17", 4, **ODD, original=True),
    "pyskl/aagcn": lambda: build_aagcn("kinect20", 4, **ODD, emphasis=False),
    "ctr-gcn": lambda: build_ctrgcn("kinect20", 4, **ODD, original=True),
    "pyskl/ctrgcn": lambda: build_ctrgcn("coco17", 4, **ODD, original=False),
    "pyskl/dgstgcn": lambda: build_dgstgcn("coco17", 4, **ODD, entries=25, ratio=0.25),
    "2s-agcn": lambda: build_agcn("kinect20", 4, **ODD),
    "pyskl/posec3d": lambda: build_poseconv3d(4, joints=9, width=6, depths=(2, 1)),
    "rgbpose-conv3d": lambda: build_rgbpose(
        4, joints=9, ratio=2, widths=(8, 4), depths=((1, 1, 2, 1), (1, 2, 1))
    ),
    "tsm-r50": lambda: build_tsm(4, segments=3, depths=(2, 1, 1, 1), inner=8),
    "dscnet/rgb": lambda: build_dscnet_rgb(4, segments=3, frames=3, depths=(1, 1, 2, 1), inner=8),
    "dscnet/msst": lambda: build_msstnet(4, channels=2, widths=((3, 2), *((2, 3),) * 6)),
    "video-swin": lambda: build_video_swin(
        classes=4, stages=(12, (1, 3), (3, 2)), patch=(1, 4, 4), window=(2, 3, 3), mlp_ratio=3
    ),
    "slowfast/mvitv2-s": lambda: build_mvitv2(4, "tiny", clip=(4, 64, 64)),
    "swinface": lambda: build_swinface("tiny"),
    "mamp": lambda: build_mamp(
        4, joints=9, frames=12, channels=2, width=8, depth=2, heads=2, hidden=6
    ),
    "videomae": lambda: build_videomae(4, clip=(4, 16, 24), patch=8, width=12, depth=2, heads=2),
    "videomae-v2": lambda: build_videomae(
        4, clip=(6, 16, 16), patch=4, width=8, depth=1, heads=1, ratio=3.0
    ),
}
OPTIONS = {  # that shapes do not show
    "2s-agcn": {"keypoints": "kinect20"},
    "rgbpose-conv3d": {"ratio": 2},
    "tsm-r50": {"segments": 3},
    "dscnet/rgb": {"segments": 3},
    "slowfast/mvitv2-s": {"size": "tiny"},
    "swinface": {"size": "tiny"},
    "mamp": {"heads": 2},
    "videomae": {"clip": (4, 16, 24), "heads": 2},
    "videomae-v2": {"clip": (6, 16, 16)},
}
CLIPS = {  # input shapes of all but the graph networks
    "pyskl/posec3d": (2, 9, 4, 16, 24),
    "rgbpose-conv3d": [(2, 3, 2, 64, 64), (2, 9, 4, 16, 16)],
    "tsm-r50": (2, 9, 32, 48),
    "dscnet/rgb": (2, 27, 32, 48),
    "dscnet/msst": (2, 3, 2, 6, 11),
    "video-swin": (2, 3, 5, 20, 24),
    "slowfast/mvitv2-s": (2, 3, 4, 64, 64),
    "swinface": (2, 3, 56, 56),
    "mamp": (2, 3, 12, 9, 2),
    "videomae": (2, 3, 4, 16, 24),
    "videomae-v2": (2, 3, 6, 16, 16),
}


def published_name(key, names):
    for ours, theirs in names:
        key = re.sub(ours, theirs, key)
    return key


def input_shapes(family, model):
    """Of a batch of two, for the model of that family; a shape for each input."""
    if family not in CLIPS:
        return [(2, model.norm.persons, 11, len(model.norm.layout.joints), model.norm.channels)]
    shape = CLIPS[family]
    return shape if isinstance(shape, list) else [shape]


def outputs(model, inputs):
    """The logits, of two paths their sum."""
    found = model(*inputs)
    return sum(found) if isinstance(found, tuple) else found
