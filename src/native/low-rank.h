// Low-rank changes of a frozen matrix (arXiv:2106.09685, eq. 3): columns [from, to) of x · W get scale · (x · a) · b more.
#pragma once
#include "gemm.h"

// Changes of one rank, in order of their columns, which do not overlap.
struct LowRank {
  int64_t rank;
  std::vector<int64_t> columns; // from and to of each change, one after the other
  float scale;
  const float *a, *b; // [in, changes · rank] and [rank, changed columns], beside each other

  int64_t changes() const { return static_cast<int64_t>(columns.size()) / 2; }
  int64_t width() const { return changes() * rank; } // of x · a
  int64_t from(int64_t change) const { return columns[2 * change]; }
  int64_t size(int64_t change) const { return columns[2 * change + 1] - from(change); }
  int64_t changed() const { return before(changes()); }
  // Changed columns before those of a change.
  int64_t before(int64_t change) const {
    int64_t sum = 0;
    for (int64_t i = 0; i < change; i++) sum += size(i);
    return sum;
  }
  Matrix ofB(int64_t change) const { return rowMajor(b + before(change), changed()); }
};

// A product to be added to columns [from, from + columns) of another: b [k, columns].
struct Addend {
  int64_t from, columns;
  const float* a;
  Matrix b;
};

// @param rowStep from row to row of every `a`
// @param columns of the product that they are added to
inline Added packAdded(const std::vector<Addend>& addends, int64_t k, int64_t rowStep, int64_t columns) {
  Added added{k, rowStep, std::vector<std::vector<Added::Piece>>((columns + PANEL - 1) / PANEL)};
  int64_t pieces = 0;
  const auto panels = [&](const Addend& one, auto f) {
    for (int64_t panel = one.from / PANEL; panel * PANEL < one.from + one.columns; panel++) f(panel);
  };
  for (const Addend& one : addends) panels(one, [&](int64_t) { pieces++; });
  float* to = scratch(PACKED_ADDED, pieces * k * PANEL);
  for (const Addend& one : addends) {
    panels(one, [&](int64_t panel) {
      const int64_t first = std::max(panel * PANEL, one.from), last = std::min((panel + 1) * PANEL, one.from + one.columns);
      memset(to, 0, k * PANEL * sizeof(float));
      for (int64_t p = 0; p < k; p++) {
        const float* row = one.b.at + p * one.b.rowStep + (first - one.from) * one.b.columnStep;
        for (int64_t j = 0; j < last - first; j++) to[p * PANEL + first - panel * PANEL + j] = row[j * one.b.columnStep];
      }
      added.panels[panel].push_back({one.a, to});
      to += k * PANEL;
    });
  }
  return added;
}

inline void scaleBlock(float* at, int64_t step, const Block& block, float scale) {
  for (int64_t row = block.row; row < block.lastRow; row++) {
    for (int64_t j = block.column; j < block.lastColumn; j++) at[row * step + j] *= scale;
  }
}

// low [rows, width] = scale · x · a, and what it adds to x · W
inline Added addLowRank(const LowRank& of, int64_t rows, int64_t in, int64_t out, const float* x, float* low) {
  const int64_t width = of.width();
  gemm({rows, width, in, rowMajor(x, in), rowMajor(of.a, width), low, width}, false,
       [&](const Block& block) { scaleBlock(low, width, block, of.scale); });
  std::vector<Addend> addends;
  for (int64_t i = 0; i < of.changes(); i++) addends.push_back({of.from(i), of.size(i), low + i * of.rank, of.ofB(i)});
  return packAdded(addends, of.rank, width, out);
}

// With dlow [rows, width] = scale · dy · bᵀ: db = lowᵀ · dy, da = xᵀ · dlow, and dlow · aᵀ is what the changes add to dx.
// @param dy of x · W [rows, out], low as `addLowRank` left it, dlow to be written
inline Added lowRankGradient(const LowRank& of, int64_t rows, int64_t in, int64_t out, const float* dy, const float* x,
                             const float* low, float* dlow, float* da, float* db) {
  const int64_t width = of.width(), rank = of.rank;
  for (int64_t i = 0; i < of.changes(); i++) {
    const Matrix slopes = rowMajor(dy, out).from(0, of.from(i));
    float* own = dlow + i * rank;
    gemm({rows, rank, of.size(i), slopes, of.ofB(i).transposed(), own, width}, false,
         [&](const Block& block) { scaleBlock(own, width, block, of.scale); });
    const Matrix factors = rowMajor(low, width).from(0, i * rank).transposed();
    gemm({rank, of.size(i), rows, factors, slopes, db + of.before(i), of.changed()});
  }
  gemm({in, width, rows, rowMajor(x, in).transposed(), rowMajor(dlow, width), da, width});
  return packAdded({{0, in, dlow, rowMajor(of.a, width).transposed()}}, width, width, in);
}
