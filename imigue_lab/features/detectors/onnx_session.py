"""A network out of an ONNX file, as both detectors run it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes, threads: int) -> "InferenceSession":
    """A session on the GPU where onnxruntime has one, else on `threads` threads.

    Raises:
        Exception: onnxruntime's own, when the bytes are no network that it can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take the cores from the decoder and the encoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised; nothing needs printing
    here = onnxruntime.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in here]
    return onnxruntime.InferenceSession(model, options, providers=wanted)
