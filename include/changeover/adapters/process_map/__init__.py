"""The process map: laid out once, then written as SVG, BPMN and draw.io."""
