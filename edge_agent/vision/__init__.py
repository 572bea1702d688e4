"""From a camera's frame to plate and container-code observations."""

import os

# What FFmpeg may take bytes for, whatever a camera says that they are: kinds that hold pictures. Lists of other
# addresses (HLS, DASH, concat), with which a camera could have the agent ask other machines, are none. FFmpeg's option
# replaces OpenCV's own (`rtsp_flags`), so that this is repeated. OpenCV reads it whenever a source is opened.
_HOLD_PICTURES = (
    "mjpeg,mpjpeg,jpeg_pipe,image2pipe,h264,hevc,m4v,mpegvideo,mpeg,mpegts,"
    "mov,mp4,matroska,webm,avi,flv,asf,ivf,rtsp,rtp,sdp"
)
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_flags;prefer_tcp|format_whitelist;{_HOLD_PICTURES}")
