"""What eye trackers export, mapped to a video's pixels and time.

A reader per format gives :class:`~gasp.datasets.recordings.viewing.Viewing`: what one observer fixated while one video
was shown. :class:`~gasp.datasets.recordings.recording_set.RecordingSet` makes a set of videos of them.
"""
