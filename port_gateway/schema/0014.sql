-- Evidence of a kind that no version knows, or that a later one does, has an end, too (OTHER_KIND in retention_index.py).
UPDATE evidence_use SET kind = 'other' WHERE kind NOT IN
    ('frame', 'plate_crop', 'container_code_crop', 'radiation_profile', 'raw_capture', 'n42', 'scan', 'quick_look');
