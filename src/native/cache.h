// Keys and values of rows that are being decoded, and attention to them.
#pragma once
#include <algorithm>
#include <cmath>
#include "attention.h"
#include "linear.h"

// What scores are made with, and the cache's sizes.
struct CacheShape {
  int64_t heads, kvHeads, headDim;
  float scale, cap; // cap 0: none
};

// Of one layer. keys [rows, kvHeads, columns / LANES, headDim, LANES]: the scores of LANES columns are one vector;
// values [rows, kvHeads, columns, headDim rounded up to LANES].
class Cache {
 public:
  // An empty cache in place of what there was; no rows: none.
  void makeRoom(const CacheShape& shape, int64_t rows, int64_t columns) {
    shape_ = shape;
    columns_ = roundedUp(columns, LANES);
    valueStep_ = roundedUp(shape.headDim, LANES);
    keys_ = rows == 0 ? nullptr : makeBuffer(rows * shape.kvHeads * columns_ * shape.headDim);
    values_ = rows == 0 ? nullptr : makeBuffer(rows * shape.kvHeads * columns_ * valueStep_);
  }

  // key, value [kvHeads, headDim] of one token.
  void put(int64_t row, int64_t column, const float* key, const float* value) {
    const int64_t width = shape_.headDim;
    for (int64_t i = 0; i < shape_.kvHeads; i++, key += width, value += width) {
      const int64_t line = (row * shape_.kvHeads + i) * columns_ + column;
      float* keys = &keys_[(line - column % LANES) * width + column % LANES];
      for (int64_t j = 0; j < width; j++) keys[j * LANES] = key[j];
      memcpy(&values_[line * valueStep_], value, width * sizeof(float));
    }
  }

  // The heads that share keys `kvHead`, for a token of the row that sees columns first … last. query, output [heads, headDim]
  void attend(int64_t row, int64_t kvHead, int64_t first, int64_t last, const float* query, float* output) const {
    const int64_t width = shape_.headDim, sharing = shape_.heads / shape_.kvHeads;
    const int64_t from = first / LANES * LANES, count = last + 1 - from;
    const int64_t line = (row * shape_.kvHeads + kvHead) * columns_ + from;
    float* scores = scratch(0, columns_ + LANES);
    for (int64_t head = kvHead * sharing; head < (kvHead + 1) * sharing; head++) {
      score(query + head * width, &keys_[line * width], count, scores);
      for (int64_t j = from; j < first; j++) scores[j - from] = -INFINITY;
      float stats[2];
      softmaxRow(scores, count, stats);
      mix(scores, &values_[line * valueStep_], count, stats[1], output + head * width);
    }
  }

 private:
  void score(const float* query, const float* keys, int64_t count, float* scores) const {
    const int64_t width = shape_.headDim;
    for (int64_t j = 0; j < count; j += LANES) {
      const float* block = keys + j * width;
      Vector sums[4] = {};
      int64_t i = 0;
      for (; i + 4 <= width; i += 4) {
        for (int s = 0; s < 4; s++) sums[s] += query[i + s] * load(block + (i + s) * LANES);
      }
      for (; i < width; i++) sums[0] += query[i] * load(block + i * LANES);
      Vector value = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * shape_.scale;
      if (shape_.cap > 0) value = shape_.cap * hyperbolicTangent(value / shape_.cap);
      store(scores + j, value);
    }
  }

  // output [headDim] = Σ share · value, times `inverse`.
  void mix(const float* shares, const float* values, int64_t count, float inverse, float* output) const {
    constexpr int64_t TOGETHER = 4; // vectors whose sums stay in registers
    for (int64_t at = 0; at < valueStep_; at += TOGETHER * LANES) {
      const int64_t vectors = std::min<int64_t>(TOGETHER, (valueStep_ - at) / LANES);
      Vector sums[TOGETHER] = {};
      if (vectors == TOGETHER)
        add<TOGETHER>(shares, values + at, count, sums);
      else
        for (int64_t v = 0; v < vectors; v++) add<1>(shares, values + at + v * LANES, count, sums + v);
      for (int64_t v = 0; v < vectors; v++) {
        const int64_t first = at + v * LANES;
        storeUpTo(output + first, sums[v] * inverse, static_cast<int>(std::min<int64_t>(LANES, shape_.headDim - first)));
      }
    }
  }
  template <int VECTORS>
  void add(const float* shares, const float* value, int64_t count, Vector* sums) const {
    Vector own[VECTORS] = {};
    for (int64_t j = 0; j < count; j++, value += valueStep_) {
      for (int v = 0; v < VECTORS; v++) own[v] += shares[j] * load(value + v * LANES);
    }
    for (int v = 0; v < VECTORS; v++) sums[v] = own[v];
  }

  CacheShape shape_{};
  int64_t columns_ = 0, valueStep_ = 0;
  Buffer keys_, values_;
};
