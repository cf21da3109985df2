"""How films look: what the pictures and the page for a browser have in common."""

COLOURS = ("#7b8794", "#e8833a", "#3a7de8", "#4aa564")  # of the takes
LINE, TEXT, SKY = "#c9ced6", "#20262e", "#ffffff"
GROUND, SHADOW, LANDMARK = "#f4f5f7", "#dfe2e7", "#c2185b"
PAINTS = (*COLOURS, LINE, TEXT, SKY, GROUND, SHADOW, LANDMARK)

ZOOM = 1.1  # distance between camera and picture, in heights of the panel
CENTRE = (0.5, 0.58)  # where the focus is, in widths and heights of the panel
GRID = 6  # lines of the ground to each side
POLE = 0.15  # height of the mark, in distances between camera and robot
NEAREST = 0.2  # to the camera of what is drawn, in distances between those lines
LIFT = 0.35  # of the light on a rod above its axis, in radii
