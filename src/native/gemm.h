// Matrix products of any size on all threads. For one part of k after the other, B, and A where it is transposed, are packed
// once, by all threads for all; then tiles of C are computed. Each sum is formed in one order, so results depend on sizes only, not on who came first.
#pragma once
#include <algorithm>
#include <vector>
#include "products.h"
#include "threads.h"

// Element (i, j) is at[i * rowStep + j * columnStep]; one of the steps is 1.
struct Matrix {
  const float* at;
  int64_t rowStep, columnStep;
  Matrix from(int64_t row, int64_t column) const { return {at + row * rowStep + column * columnStep, rowStep, columnStep}; }
  Matrix transposed() const { return {at, columnStep, rowStep}; }
};
inline Matrix rowMajor(const float* at, int64_t columns) { return {at, columns, 1}; }

// A block of rows and columns.
struct Block {
  int64_t row, lastRow, column, lastColumn;
};

// More products that are added to a product's tiles while they are at hand. Those of a panel of C: a [rows, k] · b [k, PANEL].
struct Added {
  struct Piece {
    const float *a, *b;
  };
  int64_t k, rowStep; // of each a
  std::vector<std::vector<Piece>> panels;
};

// c [rows, columns], a row every `ldc` floats, = a [rows, k] · b [k, columns]
struct Gemm {
  int64_t rows, columns, k;
  Matrix a, b;
  float* c;
  int64_t ldc;
  float* sums = nullptr; // of the columns of b: what a bias's gradient is, where b is that of the layer
  const Added* added = nullptr;
};

constexpr int64_t K_PART = LANES == 16 ? 256 : 384; // rows of a panel of B that stay in the first-level cache
constexpr int64_t ROW_PART = roundedUp(96, TILE_ROWS); // rows of A, K_PART long, that stay in the second-level one

// Tiles of an A whose transpose is row-major, one after the other, each [k][rows of the tile]; the last may have fewer rows.
inline void packTiles(const Matrix& a, int64_t rows, int64_t k, float* to) {
  for (int64_t row = 0; row < rows; row += TILE_ROWS, to += TILE_ROWS * k) {
    const float* from = a.at + row;
    const int64_t height = std::min<int64_t>(TILE_ROWS, rows - row);
    for (int64_t p = 0; p < k; p++, from += a.columnStep) {
      if (height == TILE_ROWS) memcpy(to + p * TILE_ROWS, from, TILE_ROWS * sizeof(float));
      else memcpy(to + p * height, from, height * sizeof(float));
    }
  }
}

// One product under way.
class GemmRun {
 public:
  GemmRun(const Gemm& of, bool wholeRows) : of_(of) {
    const int64_t threads = pool().size(), least = 4 * threads; // enough parts that a late thread leaves its share to others
    kParts_ = std::max<int64_t>(1, (of.k + K_PART - 1) / K_PART);
    const int64_t rowParts = std::max((of.rows + ROW_PART - 1) / ROW_PART, wholeRows ? least : 1);
    rowParts_ = std::max<int64_t>(1, std::min(tiles_, roundedUp(rowParts, threads))); // as many for each thread
    columnParts_ = wholeRows ? 1 : std::min(panels_, std::max<int64_t>(1, least / rowParts_));
    const int64_t k = (of.k + kParts_ - 1) / kParts_;
    packs_ = std::min<int64_t>(least, 1 + (of.rows + of.columns) * k / 8192);
    packedA_ = isDirect() ? nullptr : scratch(PACKED_A, k * of.rows);
    packedB_ = scratch(PACKED_B, packedSize(k, of.columns));
  }

  // Calls finish(block) when a block of C is complete, on the thread that has it in its cache.
  template <class Finish> void run(Finish finish) {
    if (of_.sums != nullptr) std::fill(of_.sums, of_.sums + of_.columns, 0.f);
    for (int64_t part = 0; part < kParts_; part++) {
      const int64_t from = of_.k * part / kParts_, k = of_.k * (part + 1) / kParts_ - from;
      pool().run(static_cast<int>(packs_), [&](int own) { pack(own, from, k); });
      const Product product{of_.rows, of_.columns, k, nullptr, of_.a.rowStep, of_.a.columnStep, nullptr, 0, of_.c, of_.ldc, part > 0};
      const float* a = isDirect() ? of_.a.from(0, from).at : packedA_;
      pool().run(static_cast<int>(rowParts_ * columnParts_), [&](int own) {
        const int64_t r = own / columnParts_, c = own % columnParts_;
        const Block block{tiles_ * r / rowParts_ * TILE_ROWS, std::min(of_.rows, tiles_ * (r + 1) / rowParts_ * TILE_ROWS),
                          panels_ * c / columnParts_ * PANEL, std::min(of_.columns, panels_ * (c + 1) / columnParts_ * PANEL)};
        multiplyBlock(block, product, a, part + 1 == kParts_ ? of_.added : nullptr);
        if (part + 1 == kParts_) finish(block);
      });
    }
  }

 private:
  void pack(int64_t own, int64_t from, int64_t k) const {
    const int64_t column = panels_ * own / packs_ * PANEL, last = std::min(of_.columns, panels_ * (own + 1) / packs_ * PANEL);
    const Matrix b = of_.b.from(from, column);
    if (column < last) packPanels(b.at, b.rowStep, b.columnStep, k, last - column, packedB_ + column * k);
    for (int64_t j = column; j < last && of_.sums != nullptr; j += PANEL) addSums(j, k);
    if (isDirect()) return;
    const int64_t row = tiles_ * own / packs_ * TILE_ROWS, lastRow = std::min(of_.rows, tiles_ * (own + 1) / packs_ * TILE_ROWS);
    packTiles(of_.a.from(row, from), lastRow - row, k, packedA_ + row * k);
  }

  void addSums(int64_t column, int64_t k) const {
    Vector sums[TILE_VECTORS] = {};
    const float* row = packedB_ + column * k;
    for (int64_t p = 0; p < k; p++, row += PANEL) {
      for (int j = 0; j < TILE_VECTORS; j++) sums[j] += load(row + j * LANES);
    }
    const int64_t width = std::min<int64_t>(PANEL, of_.columns - column);
    for (int64_t j = 0; j < width; j++) of_.sums[column + j] += sums[j / LANES][j % LANES];
  }

  // @param a packed, or from its first column of this part of k on
  void multiplyBlock(const Block& block, const Product& product, const float* a, const Added* added) const {
    const int64_t step = isDirect() ? of_.a.rowStep : product.k;
    const auto sizes = std::make_index_sequence<TILE_ROWS>();
    Product more = product;
    if (added != nullptr) more.k = added->k, more.rowStep = added->rowStep, more.kStep = 1, more.adds = true;
    for (int64_t column = block.column; column < block.lastColumn; column += PANEL) {
      const int width = static_cast<int>(std::min<int64_t>(PANEL, of_.columns - column));
      for (int64_t row = block.row; row < block.lastRow; row += TILE_ROWS) {
        const int height = static_cast<int>(std::min<int64_t>(TILE_ROWS, of_.rows - row));
        const TileFunction<float> tile = isDirect() ? tileOf<float, false>(height, sizes) : tileOf<float, true>(height, sizes);
        float* c = of_.c + row * of_.ldc + column;
        anyTile(tile, product, height, width, a + row * step, packedB_ + column * product.k, c);
        if (added == nullptr) continue;
        for (const auto& [moreA, moreB] : added->panels[column / PANEL]) {
          anyTile(tileOf<float, false>(height, sizes), more, height, width, moreA + row * added->rowStep, moreB, c);
        }
      }
    }
  }

  // Rows of A serve tiles as they are: packing them costs more than it brings. Columns lie too far apart.
  bool isDirect() const { return of_.a.columnStep == 1; }

  const Gemm of_;
  const int64_t tiles_ = (of_.rows + TILE_ROWS - 1) / TILE_ROWS, panels_ = (of_.columns + PANEL - 1) / PANEL;
  int64_t kParts_, rowParts_, columnParts_, packs_;
  float *packedA_, *packedB_;
};

constexpr int64_t MOST_PACKED = int64_t{1} << 22; // floats of a matrix that are packed at a time

// With finish(block) for each block of C when it is complete; `wholeRows`: blocks have all columns. Very large products, such as
// logits, are computed in pieces, so that what is packed stays a few megabytes.
template <class Finish> inline void gemm(const Gemm& of, bool wholeRows, Finish finish) {
  const int64_t most = MOST_PACKED / K_PART / PANEL * PANEL;
  const int64_t columns = wholeRows || of.added != nullptr ? of.columns : most, rows = of.a.columnStep == 1 ? of.rows : most;
  for (int64_t row = 0; row < of.rows; row += rows) {
    for (int64_t column = 0; column < of.columns; column += columns) {
      Gemm piece = of;
      piece.rows = std::min(rows, of.rows - row), piece.columns = std::min(columns, of.columns - column);
      piece.a = of.a.from(row, 0), piece.b = of.b.from(0, column), piece.c = of.c + row * of.ldc + column;
      if (of.sums != nullptr) piece.sums = of.sums + column;
      GemmRun(piece, wholeRows).run([&](const Block& block) {
        finish(Block{row + block.row, row + block.lastRow, column + block.column, column + block.lastColumn});
      });
    }
  }
}
inline void gemm(const Gemm& of) {
  gemm(of, false, [](const Block&) {});
}
