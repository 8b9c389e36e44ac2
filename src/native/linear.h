// Linear layers of a model that is only read: the weights are laid out in panels once, and every product shares its work
// among all threads.
#pragma once
#include <algorithm>
#include <memory>
#include <new>
#include "products.h"
#include "threads.h"

struct FreeMemory {
  void operator()(float* at) const { free(at); }
};
// Aligned for vectors. Large ones take memory as they are written.
typedef std::unique_ptr<float[], FreeMemory> Buffer;
inline Buffer makeBuffer(int64_t size) {
  void* at = nullptr;
  if (posix_memalign(&at, 64, roundedUp(size + PANEL, PANEL) * sizeof(float)) != 0) throw std::bad_alloc();
  return Buffer(static_cast<float*>(at));
}

// y = x · W + bias; W [k, columns] in panels, of floats or of half as many bytes; bias null: none.
struct Linear {
  int64_t k = 0, columns = 0;
  bool isNarrow = false;
  Buffer panels, bias;
  template <class Cell>
  Cell* cells() const {
    return reinterpret_cast<Cell*>(panels.get());
  }
};

// @param weight [k, columns], or [columns, k] where transposed
template <class Cell>
void packWeight(Linear& linear, const float* weight, bool isTransposed) {
  const int64_t k = linear.k, columns = linear.columns;
  pool().run(static_cast<int>((columns + PANEL - 1) / PANEL), [&](int panel) {
    const int64_t from = panel * PANEL, width = std::min<int64_t>(PANEL, columns - from);
    Cell* to = linear.cells<Cell>() + from * k;
    if (isTransposed)
      packPanels(weight + from * k, 1, k, k, width, to);
    else
      packPanels(weight + from, columns, 1, k, width, to);
  });
}
inline void setWeight(Linear& linear, const float* weight, bool isTransposed) {
  const int64_t size = packedSize(linear.k, linear.columns);
  if (linear.panels == nullptr) linear.panels = makeBuffer(linear.isNarrow ? (size + 1) / 2 : size);
  if (linear.isNarrow)
    packWeight<Bfloat16>(linear, weight, isTransposed);
  else
    packWeight<float>(linear, weight, isTransposed);
}

// One row of W of which `setWeight` was given the transpose.
template <class Cell>
void copyRow(const Linear& linear, int64_t row, float* values) {
  const Cell* panel = linear.cells<Cell>() + row / PANEL * PANEL * linear.k + row % PANEL;
  for (int64_t i = 0; i < linear.k; i++) values[i] = widened(panel[i * PANEL]);
}
inline void rowOfTransposed(const Linear& linear, int64_t row, float* values) {
  if (linear.isNarrow)
    copyRow<Bfloat16>(linear, row, values);
  else
    copyRow<float>(linear, row, values);
}

template <class Cell>
void multiplyPart(const Linear& linear, const float* x, int64_t rows, int64_t from, int64_t to, float* y, bool adds) {
  const int64_t k = linear.k;
  multiply(ProductOf<Cell>{rows, to - from, k, x, k, 1, linear.cells<Cell>() + from * k, k * PANEL, y + from, linear.columns, adds});
}

// x [rows, k] → y [rows, columns]; with `adds` it is added to what is there.
inline void apply(const Linear& linear, int64_t rows, const float* x, float* y, bool adds = false) {
  constexpr int64_t BLOCK = roundedUp(96, TILE_ROWS); // rows of x that stay in a core's cache while panels go by
  const int64_t k = linear.k, columns = linear.columns, panels = (columns + PANEL - 1) / PANEL;
  const int64_t blocks = (rows + BLOCK - 1) / BLOCK;
  const int64_t groups = std::min(panels, std::max<int64_t>(1, 4 * pool().size() / blocks));
  pool().run(static_cast<int>(blocks * groups), [&](int part) {
    const int64_t block = part / groups, group = part % groups;
    const int64_t row = rows * block / blocks, last = rows * (block + 1) / blocks;
    const int64_t from = panels * group / groups * PANEL, to = std::min(columns, panels * (group + 1) / groups * PANEL);
    const auto multiplyOwn = linear.isNarrow ? multiplyPart<Bfloat16> : multiplyPart<float>;
    multiplyOwn(linear, x + row * k, last - row, from, to, y + row * columns, adds);
    if (linear.bias == nullptr) return;
    for (int64_t i = row; i < last; i++) {
      float* line = y + i * columns + from;
      const float* bias = linear.bias.get() + from;
      overRow(to - from,
              [&](int64_t at, int count) { storeUpTo(line + at, loadUpTo(line + at, count) + loadUpTo(bias + at, count), count); });
    }
  });
}
