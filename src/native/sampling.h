// Draws a token from logits: what src/decoding/sample-token.ts does on the host, on every row's own thread.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>
#include "threads.h"
#include "vectors.h"

// As `Sampling` of src/decoding/sample-token.ts: temperature 0 takes the likeliest token; topK 0, topP 1, minP 0 and
// repetitionPenalty 1 leave all tokens as they are.
struct Sampling {
  double temperature, topP, minP, repetitionPenalty;
  int64_t topK;
};

struct DrawnToken {
  int32_t id;
  float logProb; // at the temperature, before penalty and filters
};

// e^(logit / temperature - top), in float32; sums of runs of RUN of them, and of all, in float64.
struct Distribution {
  static constexpr int64_t RUN = 512;
  const float* weights;
  std::vector<double> runs;
  double total;
  int32_t best; // the first of the likeliest
  float top;
};

inline Distribution distributionOf(const float* logits, int64_t vocab, float temperature, float* weights) {
  Vector most = broadcast(-INFINITY);
  overRow(vocab, [&](int64_t at, int count) {
    most = larger(most, count == LANES ? load(logits + at) : loadPart(logits + at, count, -INFINITY));
  });
  const float highest = largestOf(most);
  int32_t best = 0;
  while (best < vocab - 1 && logits[best] != highest) best++;
  Distribution of{weights, {}, 0, highest == logits[best] ? best : 0, highest / temperature};
  for (int64_t from = 0; from < vocab; from += Distribution::RUN) {
    const int64_t size = std::min(Distribution::RUN, vocab - from);
    Vector sum{};
    overRow(size, [&](int64_t offset, int count) {
      const int64_t at = from + offset;
      const Vector score = count == LANES ? load(logits + at) : loadPart(logits + at, count, -INFINITY);
      const Vector weight = exponential((score - highest) / temperature);
      storeUpTo(weights + at, weight, count);
      sum += weight;
    });
    of.runs.push_back(sumOf(sum));
    of.total += of.runs.back();
  }
  return of;
}

// Ids that top-k, top-p and min-p leave, the likeliest first; of equal ones the first.
inline std::vector<int32_t> candidatesOf(const Distribution& of, int64_t vocab, const Sampling& sampling) {
  const float* weights = of.weights;
  const auto isBefore = [weights](int32_t a, int32_t b) { return weights[a] > weights[b] || (weights[a] == weights[b] && a < b); };
  const int64_t most = sampling.topK > 0 ? std::min(sampling.topK, vocab) : vocab;
  std::vector<int32_t> ids;
  // What min-p takes away at the end need not be put in order, but counts for the shares of top-p.
  const float least = sampling.topK == 0 && sampling.topP >= 1 ? static_cast<float>(sampling.minP) : 0;
  for (int32_t id = 0; id < vocab; id++)
    if (weights[id] >= least) ids.push_back(id);
  const auto order = [&](int64_t count) {
    if (count < static_cast<int64_t>(ids.size())) std::nth_element(ids.begin(), ids.begin() + count, ids.end(), isBefore);
    std::sort(ids.begin(), ids.begin() + std::min<int64_t>(count, ids.size()), isBefore);
  };
  if (sampling.topP >= 1) {
    order(most);
    if (most < static_cast<int64_t>(ids.size())) ids.resize(most);
  } else {
    if (sampling.topK > 0) {
      order(most);
      ids.resize(most);
    }
    double mass = of.total;
    if (sampling.topK > 0) {
      mass = 0;
      for (const int32_t id : ids) mass += weights[id];
    }
    double reached = 0;
    const int64_t size = static_cast<int64_t>(ids.size());
    int64_t end = size;
    // Few tokens hold most of the share: so many are put in order as turn out to be needed.
    for (int64_t ordered = sampling.topK > 0 ? size : 0, at = 0; at < size; at++) {
      if (at == ordered) {
        ordered = std::min(size, std::max<int64_t>(128, 4 * ordered));
        order(ordered);
      }
      reached += weights[ids[at]];
      if (reached < sampling.topP * mass) continue;
      end = at + 1;
      break;
    }
    ids.resize(end);
  }
  if (sampling.minP > 0) {
    // The likeliest token has weight 1, so weights are relative to it already.
    ids.erase(std::remove_if(ids.begin(), ids.end(), [&](int32_t id) { return !(weights[id] >= sampling.minP); }), ids.end());
  }
  return ids;
}

inline int32_t drawFrom(const Distribution& of, int64_t vocab, const Sampling& sampling, double uniform) {
  const bool takesAll = (sampling.topK == 0 || sampling.topK >= vocab) && sampling.topP >= 1 && sampling.minP <= 0;
  if (!std::isfinite(of.total)) return of.best; // nothing can be drawn: the log-probability says it
  if (takesAll) {
    double rest = uniform * of.total;
    size_t run = 0;
    while (run + 1 < of.runs.size() && rest >= of.runs[run]) rest -= of.runs[run++];
    const int64_t from = run * Distribution::RUN, to = std::min(from + Distribution::RUN, vocab);
    for (int64_t id = from; id < to; id++) {
      rest -= of.weights[id];
      if (rest < 0) return static_cast<int32_t>(id);
    }
    return of.best; // rounding can leave a hair of `rest`
  }
  const std::vector<int32_t> ids = candidatesOf(of, vocab, sampling);
  double total = 0;
  for (const int32_t id : ids) total += of.weights[id];
  double rest = uniform * total;
  for (const int32_t id : ids) {
    rest -= of.weights[id];
    if (rest < 0) return id;
  }
  return ids.empty() ? of.best : ids[0];
}

// @param seen one byte a token, 1 where it was read before; null without a repetition penalty
inline DrawnToken drawToken(const float* logits, int64_t vocab, const Sampling& sampling, double uniform, const uint8_t* seen) {
  const float temperature = sampling.temperature == 0 ? 1 : static_cast<float>(sampling.temperature);
  const Distribution model = distributionOf(logits, vocab, temperature, scratch(0, vocab));
  const auto pick = [&](const Distribution& of) { return sampling.temperature == 0 ? of.best : drawFrom(of, vocab, sampling, uniform); };
  int32_t id;
  if (seen == nullptr)
    id = pick(model);
  else {
    // Divided by the penalty where positive, multiplied where negative (arXiv:1909.05858, section 4.1).
    const float penalty = static_cast<float>(sampling.repetitionPenalty);
    float* changed = scratch(1, vocab);
    for (int64_t i = 0; i < vocab; i++) changed[i] = !seen[i] ? logits[i] : logits[i] < 0 ? logits[i] * penalty : logits[i] / penalty;
    id = pick(distributionOf(changed, vocab, temperature, scratch(2, vocab)));
  }
  return {id, static_cast<float>(logits[id] / temperature - model.top - std::log(model.total))};
}
