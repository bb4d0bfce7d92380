"""What the stages share: schemas, sensors, geometry, storage. Knows no stage."""
