"""From files to a CT series: headers, choice, geometry, pixels."""
