// The body of a Metal 4 kernel: one threadgroup filters one channel, from map to map, in one dispatch.
//
// coreai-torch writes the signature around it, from what kernel.py says:
//   x        B x C x H x W of STORAGE            y        the same
//   rows     H x 2*M1, columns  W x 2*M2         the basis of each axis: cosines, then sines, orthonormal
//   direct   P, crossed  Q, C x M1 x M2          the gains of spectral.py
//   group    channel, batch                      thread_index  0 .. THREADS - 1
// A tensor's indices run from the innermost axis to the outermost: x[w, h, c, b]. Sums are kept in float32.
//
// A map passes through threadgroup memory twice, TILE rows at a time; its spectrum stays there in between. Along the
// width, symmetry does half of the work: with e[n] = x[n] + x[W-n] and o[n] = x[n] - x[W-n] cosines need e only and sines
// o only, for n = 0 .. W / 2; the way back gets y[n] and y[W-n] from the same two sums. Each thread works on LANE rows at
// once, so that every basis value that it loads is used LANE times.
constexpr int TILE = 32, CHUNK = 32, LANE = 4;

threadgroup float even[TILE][CHUNK];
threadgroup float odd[TILE][CHUNK];
threadgroup float partial[TILE][2 * MOST_FREQUENCIES];
threadgroup float spectrum[2 * MOST_FREQUENCIES][2 * MOST_FREQUENCIES];

const int width = int(x.get_extent(0)), height = int(x.get_extent(1));
const int channel = int(group.x), batch = int(group.y), self = int(thread_index);
const int m2 = int(direct.get_extent(0)), m1 = int(direct.get_extent(1));
const int half_width = width / 2 + 1;

for (int item = self; item < 4 * m1 * m2; item += THREADS) spectrum[item / (2 * m2)][item % (2 * m2)] = 0.0f;

for (int top = 0; top < height; top += TILE) {
  const int tile_rows = min(TILE, height - top);
  const int lanes = (tile_rows + LANE - 1) / LANE;
  for (int item = self; item < TILE * 2 * m2; item += THREADS) partial[item / (2 * m2)][item % (2 * m2)] = 0.0f;

  // partial = x * columns, over the folded width.
  for (int begin = 0; begin < half_width; begin += CHUNK) {
    const int samples = min(CHUNK, half_width - begin);
    threadgroup_barrier(mem_flags::mem_threadgroup);  // the chunk before has been read, `partial` has been cleared
    for (int item = self; item < TILE * CHUNK; item += THREADS) {
      const int row = item / CHUNK, n = begin + item % CHUNK;
      const bool inside = row < tile_rows && n < half_width;
      const bool paired = inside && n > 0 && 2 * n < width;
      const float left = inside ? float(x[n, top + row, channel, batch]) : 0.0f;
      const float right = paired ? float(x[width - n, top + row, channel, batch]) : 0.0f;
      even[row][item % CHUNK] = left + right;
      odd[row][item % CHUNK] = paired ? left - right : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (int item = self; item < lanes * 2 * m2; item += THREADS) {
      const int frequency = item % (2 * m2), row = item / (2 * m2) * LANE;
      float sum[LANE] = {0.0f, 0.0f, 0.0f, 0.0f};
      for (int k = 0; k < samples; ++k) {
        const float basis = float(columns[frequency, begin + k]);
        for (int lane = 0; lane < LANE; ++lane)
          sum[lane] += basis * (frequency < m2 ? even[row + lane][k] : odd[row + lane][k]);
      }
      for (int lane = 0; lane < LANE; ++lane) partial[row + lane][frequency] += sum[lane];
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  // spectrum += rows' * partial; every entry belongs to one thread.
  for (int item = self; item < 4 * m1 * m2; item += THREADS) {
    const int f1 = item / (2 * m2), f2 = item % (2 * m2);
    float sum = 0.0f;
    for (int row = 0; row < tile_rows; ++row) sum += float(rows[f1, top + row]) * partial[row][f2];
    spectrum[f1][f2] += sum;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
}

// The gains, in place: a thread owns the four blocks' entries of a frequency pair.
for (int item = self; item < m1 * m2; item += THREADS) {
  const int f1 = item / m2, f2 = item % m2;
  const float p = float(direct[f2, f1, channel]), q = float(crossed[f2, f1, channel]);
  const float cc = spectrum[f1][f2], cs = spectrum[f1][m2 + f2];
  const float sc = spectrum[m1 + f1][f2], ss = spectrum[m1 + f1][m2 + f2];
  spectrum[f1][f2] = p * cc - q * ss;
  spectrum[f1][m2 + f2] = p * cs + q * sc;
  spectrum[m1 + f1][f2] = p * sc + q * cs;
  spectrum[m1 + f1][m2 + f2] = p * ss - q * cc;
}

for (int top = 0; top < height; top += TILE) {
  const int tile_rows = min(TILE, height - top);
  const int lanes = (tile_rows + LANE - 1) / LANE;
  threadgroup_barrier(mem_flags::mem_threadgroup);  // the spectrum is ready; the tile before has been read

  // partial = rows * spectrum, zero beyond the map.
  for (int item = self; item < TILE * 2 * m2; item += THREADS) {
    const int row = item / (2 * m2), f2 = item % (2 * m2);
    float sum = 0.0f;
    if (row < tile_rows)
      for (int f1 = 0; f1 < 2 * m1; ++f1) sum += float(rows[f1, top + row]) * spectrum[f1][f2];
    partial[row][f2] = sum;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  // y = partial * columns', two samples from each pair of sums.
  for (int item = self; item < lanes * half_width; item += THREADS) {
    const int n = item % half_width, row = item / half_width * LANE;
    float cosines[LANE] = {0.0f, 0.0f, 0.0f, 0.0f}, sines[LANE] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int f2 = 0; f2 < m2; ++f2) {
      const float cosine = float(columns[f2, n]), sine = float(columns[m2 + f2, n]);
      for (int lane = 0; lane < LANE; ++lane) {
        cosines[lane] += cosine * partial[row + lane][f2];
        sines[lane] += sine * partial[row + lane][m2 + f2];
      }
    }
    for (int lane = 0; lane < LANE; ++lane) {
      if (row + lane >= tile_rows) break;
      y[n, top + row + lane, channel, batch] = STORAGE(cosines[lane] + sines[lane]);
      if (n > 0 && 2 * n < width) y[width - n, top + row + lane, channel, batch] = STORAGE(cosines[lane] - sines[lane]);
    }
  }
}
