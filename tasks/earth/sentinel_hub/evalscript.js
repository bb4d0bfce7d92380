// Runs on Sentinel Hub, pixel by pixel. Two constants are written before these lines: PLANES, the bands that are asked
// for ({ band, units, codes, scale, offset, empty }), and SAMPLE_TYPE, UINT16 or FLOAT32.
// A response holds the planes in that order, then the service's own mask of data: 1 where there is a measurement.

function setup() {
  return {
    input: [
      {
        bands: [...PLANES.map((plane) => plane.band), "dataMask"],
        units: [...PLANES.map((plane) => plane.units), "DN"],
      },
    ],
    output: { bands: PLANES.length + 1, sampleType: SAMPLE_TYPE },
    mosaicking: "SIMPLE",
  };
}

function evaluatePixel(sample) {
  if (!sample.dataMask) {
    return new Array(PLANES.length + 1).fill(0);
  }
  return [...PLANES.map((plane) => stored(sample[plane.band], plane)), 1];
}

// The number that the product's own file has for a value; 0 where there is none.
function stored(value, plane) {
  if (!Number.isFinite(value)) {
    return 0;
  }
  if (plane.codes || SAMPLE_TYPE === "FLOAT32") {
    return value;
  }
  const number = Math.round((value - plane.offset) / plane.scale);
  return number <= plane.empty ? 0 : Math.min(number, 65535);
}
