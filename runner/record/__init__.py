"""Everything at rest: schema, journal, parts, manifest, readers. The home of PyArrow."""
