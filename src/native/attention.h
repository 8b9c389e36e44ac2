// Scaled dot-product attention and its gradient, block of queries by block: never more than [QUERIES, keys] scores a thread.
#pragma once
#include <cmath>
#include <vector>
#include "products.h"
#include "threads.h"

// query, output [batch, heads, seq, width]; key, value [batch, kvHeads, keys, width]; bias [batch or 1, 1, seq, keys], of which
// what is below HIDDEN / 2 hides a key; stats [batch, heads, seq, 2]: the largest score m of a row and 1 / Σ e^(score - m).
// Scores are scale · q · k, bounded by cap · tanh(score / cap) where cap > 0, plus the bias (arXiv:1706.03762, eq. 1;
// arXiv:2408.00118 for the cap). A row that sees no key gives finite numbers, which depend on the other rows.
struct Attention {
  int64_t batch, heads, kvHeads, seq, keys, width;
  float scale, cap;
  const float *query, *key, *value, *bias;
  bool sharesBias; // one for the whole batch

  const float* biasOf(int64_t ofBatch, int64_t row) const { return bias + ((sharesBias ? 0 : ofBatch) * seq + row) * keys; }
};

constexpr float HIDDEN = -1e9f;
constexpr int64_t QUERIES = roundedUp(48, TILE_ROWS);

inline Vector hyperbolicTangent(Vector x) {
  const Vector square = x * x;
  Vector p = broadcast(-5.70498872745e-3f); // Cephes, tanhf.c: below 0.625 the other form would lose digits
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const Vector near = p * square * x + x, far = 2 * sigmoid(2 * x).of - 1;
  return x * x < 0.625f * 0.625f ? near : far;
}

// Of each block of queries the keys that any of its rows sees, from and to, by the bias: the rest is never computed.
struct Spans {
  int64_t blocks;
  std::vector<int64_t> from, to;
};

inline Spans spansOf(const Attention& attention) {
  const int64_t blocks = (attention.seq + QUERIES - 1) / QUERIES;
  Spans spans{blocks, std::vector<int64_t>(attention.batch * blocks), std::vector<int64_t>(attention.batch * blocks)};
  pool().run(static_cast<int>(attention.batch * blocks), [&](int part) {
    const int64_t first = part % blocks * QUERIES, last = first + QUERIES < attention.seq ? first + QUERIES : attention.seq;
    int64_t from = attention.keys, to = 0;
    for (int64_t row = first; row < last; row++) {
      const float* bias = attention.biasOf(part / blocks, row);
      int64_t left = 0, right = attention.keys;
      while (left < from && bias[left] < HIDDEN / 2) left++;
      while (right > to && bias[right - 1] < HIDDEN / 2) right--;
      if (left < from) from = left;
      if (right > to) to = right;
    }
    spans.from[part] = from < to ? from / PANEL * PANEL : 0; // a panel is computed whole
    spans.to[part] = from < to ? to : 0;
  });
  return spans;
}

// Scores of some queries with keys [from, to), one row every `step` floats, as they stand before the softmax. With `slopes`
// also the slope of the cap at each.
inline void scoreBlock(const Attention& attention, int64_t batch, int64_t row, int64_t rows, const float* query,
                       const float* keyPanels, int64_t from, int64_t to, float* scores, float* slopes, int64_t step) {
  const int64_t width = attention.width;
  multiply({rows, roundedUp(to - from, PANEL), width, query, width, 1, keyPanels + from * width, width * PANEL, scores, step, false});
  for (int64_t i = 0; i < rows; i++) {
    const float* bias = attention.biasOf(batch, row + i) + from;
    float *line = scores + i * step, *slope = slopes != nullptr ? slopes + i * step : nullptr;
    overRow(to - from, [&](int64_t at, int count) {
      Vector score = load(line + at) * attention.scale;
      if (attention.cap > 0) {
        const Vector bounded = hyperbolicTangent(score / attention.cap);
        if (slope != nullptr) store(slope + at, 1 - bounded * bounded);
        score = attention.cap * bounded;
      }
      store(line + at, score + loadPart(bias + at, count, HIDDEN));
    });
  }
}

// A row of scores → e^(score - m), 0 beyond its end; stats: m, the largest, and 1 / the sum.
inline void softmaxRow(float* scores, int64_t size, float* stats) {
  const auto scoresAt = [&](int64_t at, int count) {
    return count == LANES ? load(scores + at) : loadPart(scores + at, count, -INFINITY);
  };
  Vector top = broadcast(-INFINITY), sums{};
  overRow(size, [&](int64_t at, int count) { top = larger(top, scoresAt(at, count)); });
  const float most = largestOf(top);
  overRow(size, [&](int64_t at, int count) {
    const Vector value = exponential(scoresAt(at, count) - most);
    store(scores + at, value);
    sums += value;
  });
  stats[0] = most;
  stats[1] = 1 / sumOf(sums);
}

inline void attend(const Attention& attention, float* output, float* stats) {
  const int64_t seq = attention.seq, keys = attention.keys, width = attention.width;
  const int64_t step = roundedUp(keys, PANEL) + PANEL, panelKeys = roundedUp(keys, PANEL);
  const Spans spans = spansOf(attention);
  pool().run(static_cast<int>(attention.batch * attention.heads), [&](int part) {
    const int64_t batch = part / attention.heads, head = part % attention.heads;
    const int64_t shared = (batch * attention.kvHeads + head / (attention.heads / attention.kvHeads)) * keys * width;
    float* keyPanels = scratch(0, panelKeys * width);
    float* valuePanels = scratch(1, packedSize(keys, width));
    float* scores = scratch(2, QUERIES * step);
    packPanels(attention.key + shared, 1, width, width, keys, keyPanels);
    packPanels(attention.value + shared, width, 1, keys, width, valuePanels);
    for (int64_t block = 0; block < spans.blocks; block++) {
      const int64_t row = block * QUERIES, rows = seq - row < QUERIES ? seq - row : QUERIES;
      const int64_t from = spans.from[batch * spans.blocks + block], to = spans.to[batch * spans.blocks + block];
      const int64_t at = static_cast<int64_t>(part) * seq + row;
      scoreBlock(attention, batch, row, rows, attention.query + at * width, keyPanels, from, to, scores, nullptr, step);
      if (from == to) memset(stats + 2 * at, 0, 2 * rows * sizeof(float)); // none of these rows sees a key
      else for (int64_t i = 0; i < rows; i++) softmaxRow(scores + i * step, to - from, stats + 2 * (at + i));
      multiply({rows, width, to - from, scores, step, 1, valuePanels + from * PANEL, keys * PANEL, output + at * width, width, false});
      for (int64_t i = 0; i < rows; i++) {
        float* line = output + (at + i) * width;
        const float inverse = stats[2 * (at + i) + 1];
        overRow(width, [&](int64_t j, int count) { storeUpTo(line + j, loadUpTo(line + j, count) * inverse, count); });
      }
    }
  });
}

// With p = e^(score - m) / Σ: dvalue = pᵀ · doutput; ds = p · (doutput · valueᵀ - Σ doutput · output), times the slope of
// the cap; dquery = scale · ds · key; dkey = scale · dsᵀ · query. (arXiv:2205.14135, appendix B)
struct AttentionGradient {
  Attention of;
  const float *output, *stats, *doutput;
  float *dquery, *dkey, *dvalue;
};

// Turns scores into p and doutput · valueᵀ into ds, for one row with `size` keys.
inline void scoreGradientRow(const Attention& attention, const float* output, const float* doutput, const float* stats,
                             const float* slopes, int64_t size, float* p, float* ds) {
  Vector products{};
  overRow(attention.width, [&](int64_t at, int count) {
    products += loadUpTo(doutput + at, count) * loadUpTo(output + at, count);
  });
  const float both = sumOf(products), most = stats[0], inverse = stats[1];
  overRow(size, [&](int64_t at, int count) {
    const Vector score = count == LANES ? load(p + at) : loadPart(p + at, count, -INFINITY);
    const Vector probability = exponential(score - most) * inverse;
    Vector change = probability * (load(ds + at) - both) * attention.scale;
    if (attention.cap > 0) change *= load(slopes + at);
    store(p + at, probability);
    store(ds + at, change);
  });
}

// The gradient of the heads that share one head of keys; their parts of dkey and dvalue add up.
inline void attentionGradientOfKeys(const AttentionGradient& gradient, const Spans& spans, int64_t batch, int64_t kvHead) {
  const Attention& attention = gradient.of;
  const int64_t seq = attention.seq, keys = attention.keys, width = attention.width, group = attention.heads / attention.kvHeads;
  const int64_t step = roundedUp(keys, PANEL) + PANEL, shared = (batch * attention.kvHeads + kvHead) * keys * width;
  const float *key = attention.key + shared, *value = attention.value + shared;
  float *dkey = gradient.dkey + shared, *dvalue = gradient.dvalue + shared;
  float* keyPanels = scratch(0, roundedUp(keys, PANEL) * width);
  float* valuePanels = scratch(1, roundedUp(keys, PANEL) * width);
  float* keyRows = scratch(2, packedSize(keys, width));
  float *p = scratch(3, QUERIES * step), *ds = scratch(4, QUERIES * step), *slopes = scratch(5, QUERIES * step);
  float *queryPanels = scratch(6, packedSize(QUERIES, width)), *outputPanels = scratch(7, packedSize(QUERIES, width));
  packPanels(key, 1, width, width, keys, keyPanels);
  packPanels(value, 1, width, width, keys, valuePanels);
  packPanels(key, width, 1, keys, width, keyRows);
  memset(dkey, 0, keys * width * sizeof(float));
  memset(dvalue, 0, keys * width * sizeof(float));
  for (int64_t part = 0; part < group * spans.blocks; part++) {
    const int64_t head = kvHead * group + part / spans.blocks, block = part % spans.blocks;
    const int64_t row = block * QUERIES, rows = seq - row < QUERIES ? seq - row : QUERIES;
    const int64_t from = spans.from[batch * spans.blocks + block], to = spans.to[batch * spans.blocks + block];
    const int64_t at = (batch * attention.heads + head) * seq + row, columns = roundedUp(to - from, PANEL);
    const float *query = attention.query + at * width, *output = gradient.output + at * width;
    const float* doutput = gradient.doutput + at * width;
    scoreBlock(attention, batch, row, rows, query, keyPanels, from, to, p, slopes, step);
    multiply({rows, columns, width, doutput, width, 1, valuePanels + from * width, width * PANEL, ds, step, false});
    for (int64_t i = 0; i < rows; i++) {
      scoreGradientRow(attention, output + i * width, doutput + i * width, gradient.stats + 2 * (at + i), slopes + i * step,
                       to - from, p + i * step, ds + i * step);
    }
    multiply({rows, width, to - from, ds, step, 1, keyRows + from * PANEL, keys * PANEL, gradient.dquery + at * width, width, false});
    packPanels(query, width, 1, rows, width, queryPanels);
    packPanels(doutput, width, 1, rows, width, outputPanels);
    multiply({to - from, width, rows, ds, 1, step, queryPanels, rows * PANEL, dkey + from * width, width, true});
    multiply({to - from, width, rows, p, 1, step, outputPanels, rows * PANEL, dvalue + from * width, width, true});
  }
}

inline void attentionGradient(const AttentionGradient& gradient) {
  const Attention& attention = gradient.of;
  const Spans spans = spansOf(attention);
  pool().run(static_cast<int>(attention.batch * attention.kvHeads), [&](int part) {
    attentionGradientOfKeys(gradient, spans, part / attention.kvHeads, part % attention.kvHeads);
  });
}
