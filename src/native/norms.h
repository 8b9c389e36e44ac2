// Layer and root-mean-square normalisation of rows, and their gradients.
#pragma once
#include <cmath>
#include <vector>
#include "threads.h"
#include "vectors.h"

// y = (x - mean) / sqrt(variance + epsilon) * gain + bias (arXiv:1607.06450, eq. 3), or without `bias` the root-mean-square
// form, in which mean is 0 (arXiv:1910.07467, eq. 4). stats [rows, 2]: mean and 1 / sqrt(…).
struct Norm {
  int64_t rows, width;
  float epsilon;
  const float *x, *gain, *bias;
  float *y, *stats;
};

inline void normalizeRow(const Norm& norm, int64_t row) {
  const float* x = norm.x + row * norm.width;
  float* y = norm.y + row * norm.width;
  float mean = 0;
  if (norm.bias != nullptr) {
    Vector sum{};
    overRow(norm.width, [&](int64_t at, int count) { sum += loadUpTo(x + at, count); });
    mean = sumOf(sum) / norm.width;
  }
  Vector squares{};
  overRow(norm.width, [&](int64_t at, int count) {
    const Vector centred = count == LANES ? load(x + at) - mean : loadPart(x + at, count, mean) - mean;
    squares += centred * centred;
  });
  const float inverse = 1 / sqrtf(sumOf(squares) / norm.width + norm.epsilon);
  overRow(norm.width, [&](int64_t at, int count) {
    Vector value = (loadUpTo(x + at, count) - mean) * inverse * loadUpTo(norm.gain + at, count);
    if (norm.bias != nullptr) value += loadUpTo(norm.bias + at, count);
    storeUpTo(y + at, value, count);
  });
  norm.stats[2 * row] = mean;
  norm.stats[2 * row + 1] = inverse;
}

inline void normalize(const Norm& norm) {
  overRows(norm.rows, norm.width, [&](int64_t from, int64_t to) {
    for (int64_t row = from; row < to; row++) normalizeRow(norm, row);
  });
}

// With n = (x - mean) * inverse and dn = dy * gain: dx = (dn - mean(dn) - n * mean(dn * n)) * inverse, where the
// root-mean-square form has no mean(dn); dgain = Σ dy * n and dbias = Σ dy over rows (null: none).
struct NormGradient {
  int64_t rows, width;
  const float *dy, *x, *gain, *stats;
  float *dx, *dgain, *dbias;
};

inline void normGradientRow(const NormGradient& norm, int64_t row, float* dgain, float* dbias) {
  const float *x = norm.x + row * norm.width, *dy = norm.dy + row * norm.width;
  float* dx = norm.dx + row * norm.width;
  const float mean = norm.stats[2 * row], inverse = norm.stats[2 * row + 1];
  Vector sum{}, product{};
  overRow(norm.width, [&](int64_t at, int count) {
    const Vector slope = loadUpTo(dy + at, count);
    // Beyond the row's end dy is 0, and with it all that is added.
    const Vector n = (loadUpTo(x + at, count) - mean) * inverse, dn = slope * loadUpTo(norm.gain + at, count);
    sum += dn;
    product += dn * n;
    storeUpTo(dgain + at, loadUpTo(dgain + at, count) + slope * n, count);
    if (dbias != nullptr) storeUpTo(dbias + at, loadUpTo(dbias + at, count) + slope, count);
  });
  const float meanOfSlopes = norm.dbias != nullptr ? sumOf(sum) / norm.width : 0;
  const float meanOfProducts = sumOf(product) / norm.width;
  overRow(norm.width, [&](int64_t at, int count) {
    const Vector n = (loadUpTo(x + at, count) - mean) * inverse;
    const Vector dn = loadUpTo(dy + at, count) * loadUpTo(norm.gain + at, count);
    storeUpTo(dx + at, (dn - meanOfSlopes - n * meanOfProducts) * inverse, count);
  });
}

// Sums over rows are taken in fixed parts and added in order, so that they do not depend on which thread comes first.
inline void normGradient(const NormGradient& norm) {
  constexpr int64_t ROWS_OF_PART = 64;
  const int64_t parts = norm.rows < 1 ? 0 : (norm.rows + ROWS_OF_PART - 1) / ROWS_OF_PART;
  std::vector<float> sums(2 * parts * norm.width, 0.f);
  pool().run(static_cast<int>(parts), [&](int part) {
    float* dgain = sums.data() + 2 * part * norm.width;
    float* dbias = norm.dbias != nullptr ? dgain + norm.width : nullptr;
    const int64_t to = (part + 1) * ROWS_OF_PART < norm.rows ? (part + 1) * ROWS_OF_PART : norm.rows;
    for (int64_t row = part * ROWS_OF_PART; row < to; row++) normGradientRow(norm, row, dgain, dbias);
  });
  for (int64_t i = 0; i < norm.width; i++) {
    double gain = 0, bias = 0;
    for (int64_t part = 0; part < parts; part++) {
      gain += sums[2 * part * norm.width + i];
      bias += sums[(2 * part + 1) * norm.width + i];
    }
    norm.dgain[i] = static_cast<float>(gain);
    if (norm.dbias != nullptr) norm.dbias[i] = static_cast<float>(bias);
  }
}
