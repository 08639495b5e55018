"""Products in the words of published standards: OpenSLO, ODPS, ODCS and Backstage. Pure."""
