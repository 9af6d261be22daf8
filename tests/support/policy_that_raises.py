"""No policy: importing it fails."""

raise RuntimeError("this can not be imported")
