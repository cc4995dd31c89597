"""Container bytes ↔ frames and samples; the only place that imports PyAV and ffmpeg-python."""
