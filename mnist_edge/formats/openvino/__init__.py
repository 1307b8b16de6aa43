"""OpenVINO's intermediate representation: Intel processors, and whatever else has an OpenVINO plugin."""
