"""The dashboard: what asv publishes, with scripts of its own and a first page that tells what is measured."""
