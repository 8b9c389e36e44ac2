// Scaled dot-product attention and its gradient, block of queries by block: never more than [QUERIES, keys] scores a thread.
#pragma once
#include <cmath>
#include <vector>
#include "heads.h"
#include "products.h"
#include "threads.h"

// query [heads, seq, width] and key, value [kvHeads, keys, width] of each batch; bias [batch or 1, 1, seq, keys], of which
// what is below HIDDEN / 2 hides a key; stats [batch, heads, seq, 2]: the largest score m of a row and 1 / Σ e^(score - m).
// Scores are scale · q · k, bounded by cap · tanh(score / cap) where cap > 0, plus the bias (arXiv:1706.03762, eq. 1;
// arXiv:2408.00118 for the cap). A row that sees no key gives finite numbers, which depend on the other rows.
struct Attention {
  int64_t batch, heads, kvHeads, seq, keys, width;
  float scale, cap;
  Heads query, key, value;
  Rotation rotation; // of queries and keys, then as many as queries
  const float* bias;
  bool sharesBias; // one for the whole batch

  const float* biasOf(int64_t ofBatch, int64_t row) const { return bias + ((sharesBias ? 0 : ofBatch) * seq + row) * keys; }
};

// Rows that lie `step` floats apart.
struct Rows {
  const float* at;
  int64_t step;
};

// Rows of a head from `first` on as scores read them: where they are, or turned, in scratch memory.
inline Rows turned(const Attention& attention, const Heads& heads, int64_t batch, int64_t head, int64_t first, int64_t rows, int slot) {
  const float* from = heads.of(batch, head) + first * heads.rowStep;
  if (attention.rotation.cos == nullptr) return {from, heads.rowStep};
  float* to = scratch(slot, rows * attention.width);
  for (int64_t row = 0; row < rows; row++) {
    attention.rotation.turn(batch, first + row, from + row * heads.rowStep, attention.width, to + row * attention.width);
  }
  return {to, attention.width};
}

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
inline void scoreBlock(const Attention& attention, int64_t batch, int64_t row, int64_t rows, const Rows& query,
                       const float* keyPanels, int64_t from, int64_t to, float* scores, float* slopes, int64_t step) {
  const int64_t width = attention.width;
  multiply({rows, roundedUp(to - from, PANEL), width, query.at, query.step, 1, keyPanels + from * width, width * PANEL, scores, step, false});
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

inline void attend(const Attention& attention, const HeadsOf<float>& outputs, float* stats) {
  const int64_t seq = attention.seq, keys = attention.keys, width = attention.width;
  const int64_t step = roundedUp(keys, PANEL) + PANEL, panelKeys = roundedUp(keys, PANEL);
  const Spans spans = spansOf(attention);
  pool().run(static_cast<int>(attention.batch * attention.heads), [&](int part) {
    const int64_t batch = part / attention.heads, head = part % attention.heads;
    const int64_t kvHead = head / (attention.heads / attention.kvHeads);
    float* keyPanels = scratch(0, panelKeys * width);
    float* valuePanels = scratch(1, packedSize(keys, width));
    float* scores = scratch(2, QUERIES * step);
    const Rows key = turned(attention, attention.key, batch, kvHead, 0, keys, TURNED_KEYS);
    packPanels(key.at, 1, key.step, width, keys, keyPanels);
    packPanels(attention.value.of(batch, kvHead), attention.value.rowStep, 1, keys, width, valuePanels);
    for (int64_t block = 0; block < spans.blocks; block++) {
      const int64_t row = block * QUERIES, rows = seq - row < QUERIES ? seq - row : QUERIES;
      const int64_t from = spans.from[batch * spans.blocks + block], to = spans.to[batch * spans.blocks + block];
      const int64_t at = static_cast<int64_t>(part) * seq + row;
      const Rows query = turned(attention, attention.query, batch, head, row, rows, TURNED_QUERIES);
      scoreBlock(attention, batch, row, rows, query, keyPanels, from, to, scores, nullptr, step);
      if (from == to) memset(stats + 2 * at, 0, 2 * rows * sizeof(float)); // none of these rows sees a key
      else for (int64_t i = 0; i < rows; i++) softmaxRow(scores + i * step, to - from, stats + 2 * (at + i));
      float* output = outputs.of(batch, head) + row * outputs.rowStep;
      multiply({rows, width, to - from, scores, step, 1, valuePanels + from * PANEL, keys * PANEL, output, outputs.rowStep, false});
      for (int64_t i = 0; i < rows; i++) {
        float* line = output + i * outputs.rowStep;
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
  Heads output, doutput;
  const float* stats;
  HeadsOf<float> dquery, dkey, dvalue;
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

inline void turnBackRows(const Rotation& rotation, int64_t batch, int64_t first, int64_t rows, float* at, int64_t step) {
  for (int64_t row = 0; row < rows && rotation.cos != nullptr; row++) rotation.turnBack(batch, first + row, at + row * step);
}

inline void clearRows(float* at, int64_t rows, int64_t width, int64_t step) {
  for (int64_t row = 0; row < rows; row++) memset(at + row * step, 0, width * sizeof(float));
}

// The gradient of the heads that share one head of keys; their parts of dkey and dvalue add up.
inline void attentionGradientOfKeys(const AttentionGradient& gradient, const Spans& spans, int64_t batch, int64_t kvHead) {
  const auto& [attention, output, doutput, allStats, dquery, dkey, dvalue] = gradient;
  const int64_t seq = attention.seq, keys = attention.keys, width = attention.width, group = attention.heads / attention.kvHeads;
  const int64_t step = roundedUp(keys, PANEL) + PANEL;
  float *keySlopes = dkey.of(batch, kvHead), *valueSlopes = dvalue.of(batch, kvHead);
  float* keyPanels = scratch(0, roundedUp(keys, PANEL) * width);
  float* valuePanels = scratch(1, roundedUp(keys, PANEL) * width);
  float* keyRows = scratch(2, packedSize(keys, width));
  float *p = scratch(3, QUERIES * step), *ds = scratch(4, QUERIES * step), *slopes = scratch(5, QUERIES * step);
  float *queryPanels = scratch(6, packedSize(QUERIES, width)), *outputPanels = scratch(7, packedSize(QUERIES, width));
  const Rows key = turned(attention, attention.key, batch, kvHead, 0, keys, TURNED_KEYS);
  packPanels(key.at, 1, key.step, width, keys, keyPanels);
  packPanels(attention.value.of(batch, kvHead), 1, attention.value.rowStep, width, keys, valuePanels);
  packPanels(key.at, key.step, 1, keys, width, keyRows);
  clearRows(keySlopes, keys, width, dkey.rowStep);
  clearRows(valueSlopes, keys, width, dvalue.rowStep);
  for (int64_t part = 0; part < group * spans.blocks; part++) {
    const int64_t head = kvHead * group + part / spans.blocks, block = part % spans.blocks;
    const int64_t row = block * QUERIES, rows = seq - row < QUERIES ? seq - row : QUERIES;
    const int64_t from = spans.from[batch * spans.blocks + block], to = spans.to[batch * spans.blocks + block];
    const int64_t columns = roundedUp(to - from, PANEL);
    const Rows query = turned(attention, attention.query, batch, head, row, rows, TURNED_QUERIES);
    const float* out = output.of(batch, head) + row * output.rowStep;
    const float* dout = doutput.of(batch, head) + row * doutput.rowStep;
    const float* stats = allStats + 2 * ((batch * attention.heads + head) * seq + row);
    scoreBlock(attention, batch, row, rows, query, keyPanels, from, to, p, slopes, step);
    multiply({rows, columns, width, dout, doutput.rowStep, 1, valuePanels + from * width, width * PANEL, ds, step, false});
    for (int64_t i = 0; i < rows; i++) {
      scoreGradientRow(attention, out + i * output.rowStep, dout + i * doutput.rowStep, stats + 2 * i, slopes + i * step, to - from,
                       p + i * step, ds + i * step);
    }
    float* querySlopes = dquery.of(batch, head) + row * dquery.rowStep;
    multiply({rows, width, to - from, ds, step, 1, keyRows + from * PANEL, keys * PANEL, querySlopes, dquery.rowStep, false});
    packPanels(query.at, query.step, 1, rows, width, queryPanels);
    packPanels(dout, doutput.rowStep, 1, rows, width, outputPanels);
    multiply({to - from, width, rows, ds, 1, step, queryPanels, rows * PANEL, keySlopes + from * dkey.rowStep, dkey.rowStep, true});
    multiply({to - from, width, rows, p, 1, step, outputPanels, rows * PANEL, valueSlopes + from * dvalue.rowStep, dvalue.rowStep, true});
    turnBackRows(attention.rotation, batch, row, rows, querySlopes, dquery.rowStep);
  }
  turnBackRows(attention.rotation, batch, 0, keys, keySlopes, dkey.rowStep);
}

inline void attentionGradient(const AttentionGradient& gradient) {
  const Attention& attention = gradient.of;
  const Spans spans = spansOf(attention);
  pool().run(static_cast<int>(attention.batch * attention.kvHeads), [&](int part) {
    attentionGradientOfKeys(gradient, spans, part / attention.kvHeads, part % attention.kvHeads);
  });
}
