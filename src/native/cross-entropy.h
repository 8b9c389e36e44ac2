// Cross-entropy of a row of logits with one label, and its gradient.
#pragma once
#include <cmath>
#include "threads.h"
#include "vectors.h"

// logits [rows, vocab], labels [rows] → losses [rows] = log Σ e^logit - logits[label], and stats [rows, 2]: the largest logit m
// and 1 / Σ e^(logit - m). Their sum, log Σ e^logit, would lose the digits that a probability needs.
inline void crossEntropy(int64_t rows, int64_t vocab, const float* logits, const int32_t* labels, float* losses, float* stats) {
  overRows(rows, vocab, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const float* line = logits + row * vocab;
      const auto at = [&](int64_t from, int count) {
        return count == LANES ? load(line + from) : loadPart(line + from, count, -INFINITY);
      };
      Vector top = broadcast(-INFINITY), sums{};
      overRow(vocab, [&](int64_t from, int count) { top = larger(top, at(from, count)); });
      const float most = largestOf(top);
      overRow(vocab, [&](int64_t from, int count) { sums += exponential(at(from, count) - most); });
      const float sum = sumOf(sums);
      losses[row] = logf(sum) - (line[labels[row]] - most);
      stats[2 * row] = most;
      stats[2 * row + 1] = 1 / sum;
    }
  });
}

// dlosses [rows] → slopes [rows, vocab] = (softmax(logits) - one-hot) · dloss.
inline void crossEntropyGradient(int64_t rows, int64_t vocab, const float* logits, const int32_t* labels, const float* stats,
                                 const float* dlosses, float* slopes) {
  overRows(rows, vocab, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const float* line = logits + row * vocab;
      const float most = stats[2 * row], scale = stats[2 * row + 1] * dlosses[row];
      float* slope = slopes + row * vocab;
      overRow(vocab, [&](int64_t at, int count) {
        storeUpTo(slope + at, exponential(loadUpTo(line + at, count) - most) * scale, count);
      });
      slope[labels[row]] -= dlosses[row];
    }
  });
}
