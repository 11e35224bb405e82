# ruff: noqa
"""Names in ``src`` that are used from outside, for ``vulture``: an entry says by whom."""

# Classes that tables name in words (gasp.cues.cue, gasp.faces.detector).
Captured
Dave
ESR9Cue
FacePresence
Gaze360Cue
GlanceSaliency
Motion
SpeakingASD
Stavis
Tased
Unisal
VideoGazeCue
Vinet
Avinet
GlanceFaceDetector
S3FDFaceDetector
YuNetFaceDetector

# The sound features of a whole recording; cues make them row by row.
mfcc

# What users call: readers of datasets, the pictures and fields of 2021, a pipeline's delay.
_.density_at
_.fixation_map_at
draw_boxes
draw_gaze_points
draw_fixation_density
draw_fixation_points
published_field
create_cues
write_split
_.latency

# For live sources and other people's programs.
LslOutlet
SteadyFocus
serve_detector
SeenFace
_.ahead
_.pid

# Fields that are written or printed as a whole, or that describe what is in a file.
_.frontal
_.occluded
_.has_audio
_.focus_value
_.training_data
_.citation

# Layers that published checkpoints hold and the forward pass does not need.
_.conv8_objs
_.conv8_scns
_.fc_new
_.upscale_

# What the tests of every network ask a row of the table.
_.small_inputs
_.one_size

# What users of the node's client call and read; the examples and tests do.
_.focus_unit
_.focus_centred
_.contribution_names
rclpy_types
map_message
focus_message
faces_message
frame_message
relay
