// Small matrix products on one thread: a tile of C stays in registers while a panel of B goes by.
#pragma once
#include <cstdint>
#include <utility>
#include "vectors.h"

#if defined(__AVX512F__)
constexpr int TILE_ROWS = 14, TILE_VECTORS = 2; // 28 of 32 registers hold the tile
#elif defined(__AVX__)
constexpr int TILE_ROWS = 6, TILE_VECTORS = 2; // 12 of 16
#elif defined(__aarch64__)
constexpr int TILE_ROWS = 8, TILE_VECTORS = 3; // 24 of 32
#else
constexpr int TILE_ROWS = 4, TILE_VECTORS = 3; // 12 of 16
#endif
constexpr int PANEL = LANES * TILE_VECTORS;

constexpr int64_t roundedUp(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

// Floats that `packPanels` writes.
inline int64_t packedSize(int64_t k, int64_t columns) { return k * roundedUp(columns, PANEL); }

// Lays B out in panels of PANEL columns, [panel][k][PANEL], filled up with zeros. b(k, j) = b[k * kStep + j * columnStep].
inline void packPanels(const float* b, int64_t kStep, int64_t columnStep, int64_t k, int64_t columns, float* out) {
  for (int64_t from = 0; from < columns; from += PANEL, out += k * PANEL) {
    const int width = static_cast<int>(columns - from < PANEL ? columns - from : PANEL);
    const float* source = b + from * columnStep;
    for (int64_t p = 0; p < k; p++) {
      float* row = out + p * PANEL;
      if (columnStep == 1) memcpy(row, source + p * kStep, width * sizeof(float));
      else for (int j = 0; j < width; j++) row[j] = source[p * kStep + j * columnStep];
      for (int j = width; j < PANEL; j++) row[j] = 0;
    }
  }
}

// C (+)= A · B. a(i, k) = a[i * rowStep + k * kStep]; B in panels, one every `panelStep` floats; C has `ldc` floats a row.
struct Product {
  int64_t rows, columns, k;
  const float* a;
  int64_t rowStep, kStep;
  const float* panels;
  int64_t panelStep;
  float* c;
  int64_t ldc;
  bool adds;
};

template <int ROWS>
__attribute__((noinline)) void wholeTile(const Product& product, const float* a, const float* b, float* c, int64_t ldc) {
  Vector sums[ROWS][TILE_VECTORS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] = Vector{};
  }
  for (int64_t k = product.k; k > 0; k--, a += product.kStep, b += PANEL) {
    Vector row[TILE_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < TILE_VECTORS; j++) row[j] = load(b + j * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const Vector value = broadcast(a[i * product.rowStep]);
#pragma GCC unroll 4
      for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] += value * row[j];
    }
  }
  if (product.adds) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
      for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] += load(c + i * ldc + j * LANES);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < TILE_VECTORS; j++) store(c + i * ldc + j * LANES, sums[i][j]);
  }
}

typedef void (*TileFunction)(const Product&, const float*, const float*, float*, int64_t);
template <size_t... N> inline TileFunction tileOf(size_t rows, std::index_sequence<N...>) {
  static constexpr TileFunction functions[] = {wholeTile<static_cast<int>(N) + 1>...};
  return functions[rows - 1];
}

inline void multiply(const Product& product) {
  for (int64_t column = 0; column < product.columns; column += PANEL) {
    const float* b = product.panels + column / PANEL * product.panelStep;
    const int width = static_cast<int>(product.columns - column < PANEL ? product.columns - column : PANEL);
    for (int64_t row = 0; row < product.rows; row += TILE_ROWS) {
      const int rows = static_cast<int>(product.rows - row < TILE_ROWS ? product.rows - row : TILE_ROWS);
      const TileFunction tile = tileOf(rows, std::make_index_sequence<TILE_ROWS>());
      const float* a = product.a + row * product.rowStep;
      float* c = product.c + row * product.ldc + column;
      if (width == PANEL) {
        tile(product, a, b, c, product.ldc);
        continue;
      }
      // A narrower panel goes through a whole one of its own.
      float through[TILE_ROWS * PANEL];
      if (product.adds) for (int i = 0; i < rows; i++) memcpy(through + i * PANEL, c + i * product.ldc, width * sizeof(float));
      tile(product, a, b, through, PANEL);
      for (int i = 0; i < rows; i++) memcpy(c + i * product.ldc, through + i * PANEL, width * sizeof(float));
    }
  }
}
