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

inline void pack(const float* from, int64_t step, int count, float* to) {
  if (step == 1 && count == PANEL) memcpy(to, from, PANEL * sizeof(float)); // in line
  else if (step == 1) memcpy(to, from, count * sizeof(float));
  else for (int j = 0; j < count; j++) to[j] = from[j * step];
}
inline void pack(const float* from, int64_t step, int count, Bfloat16* to) {
  for (int j = 0; j < count; j++) to[j] = narrowed(from[j * step]);
}

// Lays B out in panels of PANEL columns, [panel][k][PANEL], filled up with zeros. b(k, j) = b[k * kStep + j * columnStep].
template <class Cell> inline void packPanels(const float* b, int64_t kStep, int64_t columnStep, int64_t k, int64_t columns, Cell* out) {
  for (int64_t from = 0; from < columns; from += PANEL, out += k * PANEL) {
    const int width = static_cast<int>(columns - from < PANEL ? columns - from : PANEL);
    const float* source = b + from * columnStep;
    for (int64_t p = 0; p < k; p++) {
      Cell* row = out + p * PANEL;
      pack(source + p * kStep, columnStep, width, row);
      for (int j = width; j < PANEL; j++) row[j] = {};
    }
  }
}

// C (+)= A · B. a(i, k) = a[i * rowStep + k * kStep]; B in panels, one every `panelStep` floats; C has `ldc` floats a row.
template <class Cell> struct ProductOf {
  int64_t rows, columns, k;
  const float* a;
  int64_t rowStep, kStep;
  const Cell* panels;
  int64_t panelStep;
  float* c;
  int64_t ldc;
  bool adds;
};
typedef ProductOf<float> Product;

// With IS_PACKED the rows of A lie beside each other, [k][ROWS].
template <class Cell, int ROWS, bool IS_PACKED>
__attribute__((noinline)) void wholeTile(const ProductOf<Cell>& product, const float* a, const Cell* b, float* c, int64_t ldc) {
  const int64_t rowStep = IS_PACKED ? 1 : product.rowStep, kStep = IS_PACKED ? ROWS : product.kStep;
  // C may be far away: it is fetched meanwhile.
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < PANEL; j += 16) __builtin_prefetch(c + i * ldc + j, 1);
  }
  Vector sums[ROWS][TILE_VECTORS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] = Vector{};
  }
  for (int64_t k = product.k; k > 0; k--, a += kStep, b += PANEL) {
    Vector row[TILE_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < TILE_VECTORS; j++) row[j] = load(b + j * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const Vector value = broadcast(a[i * rowStep]);
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

template <class Cell> using TileFunction = void (*)(const ProductOf<Cell>&, const float*, const Cell*, float*, int64_t);
template <class Cell, bool IS_PACKED, size_t... N> inline TileFunction<Cell> tileOf(size_t rows, std::index_sequence<N...>) {
  static constexpr TileFunction<Cell> functions[] = {wholeTile<Cell, static_cast<int>(N) + 1, IS_PACKED>...};
  return functions[rows - 1];
}

// A tile of a panel that may be narrower: then through a whole one of its own.
template <class Cell>
inline void anyTile(TileFunction<Cell> tile, const ProductOf<Cell>& product, int rows, int width, const float* a, const Cell* b, float* c) {
  if (width == PANEL) return tile(product, a, b, c, product.ldc);
  float through[TILE_ROWS * PANEL];
  if (product.adds) for (int i = 0; i < rows; i++) memcpy(through + i * PANEL, c + i * product.ldc, width * sizeof(float));
  tile(product, a, b, through, PANEL);
  for (int i = 0; i < rows; i++) memcpy(c + i * product.ldc, through + i * PANEL, width * sizeof(float));
}

template <class Cell> inline void multiplyCells(const ProductOf<Cell>& product) {
  const int64_t tiles = (product.rows + TILE_ROWS - 1) / TILE_ROWS; // of about equal heights
  for (int64_t column = 0; column < product.columns; column += PANEL) {
    const Cell* b = product.panels + column / PANEL * product.panelStep;
    const int width = static_cast<int>(product.columns - column < PANEL ? product.columns - column : PANEL);
    for (int64_t part = 0; part < tiles; part++) {
      const int64_t row = product.rows * part / tiles;
      const int rows = static_cast<int>(product.rows * (part + 1) / tiles - row);
      const TileFunction<Cell> tile = tileOf<Cell, false>(rows, std::make_index_sequence<TILE_ROWS>());
      anyTile(tile, product, rows, width, product.a + row * product.rowStep, b, product.c + row * product.ldc + column);
    }
  }
}
inline void multiply(const Product& product) { multiplyCells(product); }
inline void multiply(const ProductOf<Bfloat16>& product) { multiplyCells(product); }
