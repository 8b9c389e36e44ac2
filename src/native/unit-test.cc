// Every kernel against loops in double precision that are written from the equations. Set-up runs it on the machine where the
// kernels will run; it needs no TensorFlow. Ends with 1 where a value differs by more than TOLERANCE of the largest. Where
// float32 itself cannot reach that, the bound is multiplied by a condition: attention's weights are e^score, and a score of 8 that
// is rounded once, to 24 bits, changes its weight by 5e-7: by the largest score / 4 there. What is left of a row of 3 values when
// two directions are taken out is smaller than the terms: by the largest term / the largest value for slopes of norms. A sum
// of k products is rounded k times, and the errors add up as √k (Higham and Mary 2019, doi:10.1137/18M1226312): by √k / 8; where
// an activation or a low-rank product goes before or after it, the bounds add up.
#include "activations.h"
#include "adamw.h"
#include "attention.h"
#include "checks.h"
#include "cross-entropy.h"
#include "decoder-test.h"
#include "linear-layer.h"
#include "norms.h"

namespace {

void testExponential() {
  Floats found;
  Doubles expected;
  for (float x = -87; x < 88.7f; x += 0.0137f) {
    found.push_back(exponential(broadcast(x))[0] / std::exp(static_cast<double>(x)));
    expected.push_back(1);
  }
  check("exponential", found, expected);
  const float least = exponential(broadcast(-1e9f))[0], most = exponential(broadcast(100.f))[0];
  const float none = exponential(broadcast(NAN))[0], infinite = exponential(broadcast(-INFINITY))[0];
  checks++;
  if (least == 0 && std::isinf(most) && std::isnan(none) && infinite == 0) return;
  failures++;
  printf("exponential: 0, infinity, NaN and 0 expected at -1e9, 100, NaN and -infinity; found %g, %g, %g and %g\n", least, most,
         none, infinite);
}

void testNorm(int64_t rows, int64_t width, bool hasBias) {
  const Floats x = normal(rows * width, 3), gain = normal(width), bias = normal(width), dy = normal(rows * width);
  const float epsilon = 1e-5f;
  Floats y(x.size()), stats(2 * rows), dx(x.size()), dgain(width), dbias(width);
  normalize({rows, width, epsilon, x.data(), gain.data(), hasBias ? bias.data() : nullptr, y.data(), stats.data()});
  normGradient({rows, width, dy.data(), x.data(), gain.data(), stats.data(), dx.data(), dgain.data(), hasBias ? dbias.data() : nullptr});
  Doubles ey(x.size()), edx(x.size()), edgain(width), edbias(hasBias ? width : 0);
  double most = 0, term = 0;
  for (int64_t row = 0; row < rows; row++) {
    const float *line = &x[row * width], *slope = &dy[row * width];
    double mean = 0, square = 0, sum = 0, product = 0;
    for (int64_t i = 0; i < width && hasBias; i++) mean += static_cast<double>(line[i]) / width;
    for (int64_t i = 0; i < width; i++) square += (line[i] - mean) * (line[i] - mean) / width;
    const double inverse = 1 / std::sqrt(square + epsilon);
    for (int64_t i = 0; i < width; i++) {
      const double n = (line[i] - mean) * inverse, dn = static_cast<double>(slope[i]) * gain[i];
      ey[row * width + i] = n * gain[i] + (hasBias ? bias[i] : 0);
      sum += hasBias ? dn / width : 0;
      product += dn * n / width;
      edgain[i] += slope[i] * n;
      if (hasBias) edbias[i] += slope[i];
    }
    for (int64_t i = 0; i < width; i++) {
      const double n = (line[i] - mean) * inverse;
      const double dn = static_cast<double>(slope[i]) * gain[i];
      edx[row * width + i] = (dn - sum - n * product) * inverse;
      most = std::max(most, std::abs(edx[row * width + i]));
      term = std::max(term, std::abs(dn * inverse));
    }
  }
  check("norm", y, ey);
  check("norm, slope of x", dx, edx, term / most);
  check("norm, slope of gain", dgain, edgain);
  check("norm, slope of bias", dbias, edbias);
}

double valueOf(Activation kind, double x) {
  if (kind == SWIGLU) return x / (1 + std::exp(-x));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double slopeOf(Activation kind, double x) {
  if (kind == SWIGLU) {
    const double share = 1 / (1 + std::exp(-x));
    return share + x * share * (1 - share);
  }
  const double inner = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x), t = std::tanh(inner);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

void testActivation(Activation kind, int64_t rows, int64_t width) {
  const int64_t step = isGated(kind) ? 2 * width : width;
  const Floats x = normal(rows * step, 4), dy = normal(rows * width);
  Floats y(dy.size()), dx(x.size());
  activate(kind, rows, width, x.data(), y.data());
  activationGradient(kind, rows, width, dy.data(), x.data(), dx.data());
  Doubles ey(dy.size()), edx(x.size());
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < width; i++) {
      const double gate = x[row * step + i], up = isGated(kind) ? x[row * step + width + i] : 1, slope = dy[row * width + i];
      ey[row * width + i] = valueOf(kind, gate) * up;
      edx[row * step + i] = slope * up * slopeOf(kind, gate);
      if (isGated(kind)) edx[row * step + width + i] = slope * valueOf(kind, gate);
    }
  }
  check("activation", y, ey);
  check("activation, slope", dx, edx);
}

struct LayerCase {
  int64_t rows, in, out, activation;
  bool hasBias, hasResidual, isTransposed;
  int64_t rank = 0;
  std::vector<int64_t> columns = {}; // of changes of a frozen weight
};

void testLinearLayer(const LayerCase& of) {
  const int64_t rows = of.rows, in = of.in, out = of.out;
  const Floats x = normal(rows * in), weight = normal(in * out, 1 / std::sqrt(static_cast<float>(in))), bias = normal(out);
  LowRank change{of.rank, of.columns, 0.5f, nullptr, nullptr};
  const Floats a = normal(in * change.width(), 1 / std::sqrt(static_cast<float>(in))), b = normal(of.rank * change.changed());
  change.a = a.data(), change.b = b.data();
  const bool isFrozen = of.rank > 0;
  const LinearLayer layer{rows, in, out, of.activation, x.data(), weight.data(), of.isTransposed, isFrozen, isFrozen ? &change : nullptr};
  const int64_t width = layer.width(), ranks = change.width(), changed = change.changed();
  const Floats residual = normal(rows * width), dy = normal(rows * width);
  Floats y(rows * width), slopes(rows * out), low(rows * ranks), dx(rows * in), dweight(in * out), dbias(out), da(a.size()), db(b.size());
  linearLayer(layer, of.hasBias ? bias.data() : nullptr, of.hasResidual ? residual.data() : nullptr, y.data(), slopes.data(), low.data());
  const bool learnsBias = of.hasBias && !isFrozen;
  linearLayerGradient(layer, dy.data(), slopes.data(), low.data(),
                      {dx.data(), dweight.data(), learnsBias ? dbias.data() : nullptr, da.data(), db.data()});

  const auto at = [&](int64_t i, int64_t j) { return of.isTransposed ? j * in + i : i * out + j; };
  Doubles whole(weight.begin(), weight.end()); // with its changes
  for (int64_t c = 0; c < change.changes(); c++)
    for (int64_t i = 0; i < in; i++)
      for (int64_t j = 0; j < change.size(c); j++)
        for (int64_t r = 0; r < of.rank; r++)
          whole[at(i, change.from(c) + j)] +=
              0.5 * a[i * ranks + c * of.rank + r] * static_cast<double>(b[r * changed + change.before(c) + j]);
  Doubles ey(rows * width), edx(rows * in), edweight(in * out), edbias(learnsBias ? out : 0), eda(a.size()), edb(b.size());
  for (int64_t row = 0; row < rows; row++) {
    Doubles z(out), dz(out);
    for (int64_t j = 0; j < out; j++) {
      z[j] = of.hasBias ? bias[j] : 0;
      for (int64_t i = 0; i < in; i++) z[j] += static_cast<double>(x[row * in + i]) * whole[at(i, j)];
    }
    for (int64_t j = 0; j < width; j++) {
      const double dvalue = dy[row * width + j], up = width < out ? z[width + j] : 1;
      const double value = layer.hasActivation() ? valueOf(layer.kind(), z[j]) : z[j];
      ey[row * width + j] = value * up + (of.hasResidual ? residual[row * width + j] : 0);
      dz[j] = dvalue * up * (layer.hasActivation() ? slopeOf(layer.kind(), z[j]) : 1);
      if (width < out) dz[width + j] = dvalue * value;
    }
    for (int64_t j = 0; j < out; j++) {
      if (learnsBias) edbias[j] += dz[j];
      for (int64_t i = 0; i < in; i++) {
        edx[row * in + i] += dz[j] * whole[at(i, j)];
        edweight[at(i, j)] += dz[j] * x[row * in + i];
      }
    }
    for (int64_t c = 0; c < change.changes(); c++) {
      for (int64_t r = 0; r < of.rank; r++) {
        const int64_t own = c * of.rank + r;
        double factor = 0, dfactor = 0;
        for (int64_t i = 0; i < in; i++) factor += 0.5 * x[row * in + i] * a[i * ranks + own];
        for (int64_t j = 0; j < change.size(c); j++) {
          const int64_t column = r * changed + change.before(c) + j;
          dfactor += 0.5 * dz[change.from(c) + j] * b[column];
          edb[column] += factor * dz[change.from(c) + j];
        }
        for (int64_t i = 0; i < in; i++) eda[i * ranks + own] += dfactor * x[row * in + i];
      }
    }
  }
  const auto condition = [&](int64_t k) {
    return std::max(1.0, std::sqrt(static_cast<double>(k)) / 8) + layer.hasActivation() + isFrozen;
  };
  check("linear layer", y, ey, condition(in));
  check("linear layer, slope of x", dx, edx, condition(out));
  if (!isFrozen) check("linear layer, slope of weights", dweight, edweight, condition(rows));
  if (learnsBias) check("linear layer, slope of bias", dbias, edbias, condition(rows));
  if (isFrozen) check("linear layer, slope of a", da, eda, condition(rows));
  if (isFrozen) check("linear layer, slope of b", db, edb, condition(rows));
}

void testCrossEntropy(int64_t rows, int64_t vocab) {
  const Floats logits = normal(rows * vocab, 5), dlosses = normal(rows);
  std::vector<int32_t> labels(rows);
  for (int64_t row = 0; row < rows; row++) labels[row] = static_cast<int32_t>(row * 7919 % vocab);
  Floats losses(rows), stats(2 * rows), slopes(logits.size());
  crossEntropy(rows, vocab, logits.data(), labels.data(), losses.data(), stats.data());
  crossEntropyGradient(rows, vocab, logits.data(), labels.data(), stats.data(), dlosses.data(), slopes.data());
  Doubles elosses(rows), eslopes(logits.size());
  for (int64_t row = 0; row < rows; row++) {
    double sum = 0;
    for (int64_t i = 0; i < vocab; i++) sum += std::exp(static_cast<double>(logits[row * vocab + i]));
    elosses[row] = std::log(sum) - logits[row * vocab + labels[row]];
    for (int64_t i = 0; i < vocab; i++) {
      eslopes[row * vocab + i] = (std::exp(static_cast<double>(logits[row * vocab + i])) / sum - (i == labels[row])) * dlosses[row];
    }
  }
  check("cross-entropy", losses, elosses);
  check("cross-entropy, slope", slopes, eslopes);
}

struct AttentionCase {
  int64_t batch, heads, kvHeads, seq, keys, width, segment, window;
  float cap;
};

// The bias of causal attention within segments and a window (0: none); rows stand for the last of the keys.
Floats biasOf(const AttentionCase& of) {
  Floats bias(of.batch * of.seq * of.keys, HIDDEN);
  for (int64_t row = 0; row < of.batch * of.seq; row++) {
    const int64_t query = row % of.seq + of.keys - of.seq;
    for (int64_t key = 0; key <= query; key++) {
      const bool isNear = of.window == 0 || query - key < of.window;
      if (key / of.segment == query / of.segment && isNear) bias[row * of.keys + key] = 0;
    }
  }
  return bias;
}

struct ExpectedAttention {
  Doubles y, dquery, dkey, dvalue;
  double largest = 0; // of the scores
};

// In double precision, heads first.
ExpectedAttention expectedAttention(const AttentionCase& of, const Doubles& query, const Doubles& key, const Floats& value,
                                    const Floats& dy, const Floats& bias) {
  const float scale = 1 / std::sqrt(static_cast<float>(of.width));
  ExpectedAttention expected{Doubles(query.size()), Doubles(query.size()), Doubles(key.size()), Doubles(key.size())};
  for (int64_t row = 0; row < of.batch * of.heads * of.seq; row++) {
    const int64_t batch = row / of.seq / of.heads, head = row / of.seq % of.heads;
    const int64_t start = (batch * of.kvHeads + head / (of.heads / of.kvHeads)) * of.keys * of.width;
    const double* q = &query[row * of.width];
    const float *seen = &bias[(batch * of.seq + row % of.seq) * of.keys], *slope = &dy[row * of.width];
    Doubles p(of.keys), capSlope(of.keys, 1), dp(of.keys);
    double sum = 0, both = 0;
    for (int64_t j = 0; j < of.keys; j++) {
      double score = 0;
      for (int64_t i = 0; i < of.width; i++) score += q[i] * key[start + j * of.width + i] * scale;
      if (of.cap > 0) {
        const double bounded = std::tanh(score / of.cap);
        capSlope[j] = 1 - bounded * bounded;
        score = of.cap * bounded;
      }
      if (seen[j] == 0) expected.largest = std::max(expected.largest, std::abs(score));
      sum += p[j] = std::exp(score + seen[j]);
    }
    for (int64_t j = 0; j < of.keys; j++) {
      p[j] /= sum;
      for (int64_t i = 0; i < of.width; i++) {
        expected.y[row * of.width + i] += p[j] * value[start + j * of.width + i];
        dp[j] += static_cast<double>(slope[i]) * value[start + j * of.width + i];
        expected.dvalue[start + j * of.width + i] += p[j] * slope[i];
      }
      both += p[j] * dp[j];
    }
    for (int64_t j = 0; j < of.keys; j++) {
      const double ds = p[j] * (dp[j] - both) * capSlope[j] * scale;
      for (int64_t i = 0; i < of.width; i++) {
        expected.dquery[row * of.width + i] += ds * key[start + j * of.width + i];
        expected.dkey[start + j * of.width + i] += ds * q[i];
      }
    }
  }
  return expected;
}

void testAttention(const AttentionCase& of) {
  const int64_t queries = of.batch * of.heads * of.seq * of.width, shared = of.batch * of.kvHeads * of.keys * of.width;
  const Floats query = normal(queries), key = normal(shared, 2), value = normal(shared), dy = normal(queries), bias = biasOf(of);
  const auto likeQuery = [&](auto* at) { return headsFirst(at, of.heads, of.seq, of.width); };
  const auto likeKey = [&](auto* at) { return headsFirst(at, of.kvHeads, of.keys, of.width); };
  const Attention attention{of.batch, of.heads, of.kvHeads, of.seq, of.keys, of.width, 1 / std::sqrt(static_cast<float>(of.width)), of.cap,
                            likeQuery(query.data()), likeKey(key.data()), likeKey(value.data()), {}, bias.data(), false};
  Floats y(queries), stats(2 * of.batch * of.heads * of.seq), dquery(queries), dkey(shared), dvalue(shared);
  attend(attention, likeQuery(y.data()), stats.data());
  attentionGradient({attention, likeQuery(const_cast<const float*>(y.data())), likeQuery(dy.data()), stats.data(),
                     likeQuery(dquery.data()), likeKey(dkey.data()), likeKey(dvalue.data())});
  const ExpectedAttention expected =
      expectedAttention(of, Doubles(query.begin(), query.end()), Doubles(key.begin(), key.end()), value, dy, bias);
  const double condition = expected.largest / 4;
  check("attention", y, expected.y, condition);
  check("attention, slope of queries", dquery, expected.dquery, condition);
  check("attention, slope of keys", dkey, expected.dkey, condition);
  check("attention, slope of values", dvalue, expected.dvalue, condition);
}

// Rows of queries, keys and values beside each other, turned over `turned` values of each head (0: none).
void testSelfAttention(const AttentionCase& of, int64_t turned) {
  const int64_t rows = of.batch * of.seq, all = of.heads + 2 * of.kvHeads, width = of.width, half = turned / 2;
  const Floats qkv = normal(rows * all * width), dy = normal(rows * of.heads * width), bias = biasOf(of);
  Floats cos(rows * turned), sin(rows * turned);
  for (int64_t i = 0; i < rows * turned; i++) {
    const double angle = static_cast<double>(i / turned) * std::pow(100, -static_cast<double>(i % half) / half);
    cos[i] = static_cast<float>(std::cos(angle)), sin[i] = static_cast<float>(std::sin(angle));
  }
  // Value i of a row of a head, turned, and what a slope there gives each value of the row before.
  const auto turn = [&](const Floats& at, int64_t row, int64_t head, int64_t i) -> double {
    const float* x = &at[(row * all + head) * width];
    if (i >= turned) return x[i];
    const double other = i < half ? -static_cast<double>(x[i + half]) : x[i - half];
    return static_cast<double>(x[i]) * cos[row * turned + i] + other * sin[row * turned + i];
  };
  const auto turnBack = [&](const double* slopes, int64_t row, int64_t i) -> double {
    if (i >= turned) return slopes[i];
    const int64_t at = row * turned + i;
    return slopes[i] * cos[at] + (i < half ? slopes[i + half] * sin[at + half] : -slopes[i - half] * sin[at - half]);
  };
  const auto headFirst = [&](int64_t heads, auto value) {
    std::vector<double> values;
    for (int64_t batch = 0; batch < of.batch; batch++)
      for (int64_t head = 0; head < heads; head++)
        for (int64_t row = batch * of.seq; row < (batch + 1) * of.seq; row++)
          for (int64_t i = 0; i < width; i++) values.push_back(value(row, head, i));
    return values;
  };
  const auto floats = [](const Doubles& values) { return Floats(values.begin(), values.end()); };
  const Doubles query = headFirst(of.heads, [&](int64_t row, int64_t head, int64_t i) { return turn(qkv, row, head, i); });
  const Doubles key = headFirst(of.kvHeads, [&](int64_t row, int64_t head, int64_t i) { return turn(qkv, row, of.heads + head, i); });
  const Doubles value = headFirst(of.kvHeads, [&](int64_t row, int64_t head, int64_t i) -> double {
    return qkv[(row * all + of.heads + of.kvHeads + head) * width + i];
  });
  const Doubles dout = headFirst(of.heads, [&](int64_t row, int64_t head, int64_t i) -> double { return dy[(row * of.heads + head) * width + i]; });
  const ExpectedAttention expected = expectedAttention(of, query, key, floats(value), floats(dout), bias);

  const auto part = [&](auto* at, int64_t from) { return rowsFirst(at, from, all, of.seq, width); };
  const auto mixed = [&](auto* at) { return rowsFirst(at, 0, of.heads, of.seq, width); };
  Attention attention{of.batch, of.heads, of.kvHeads, of.seq, of.seq, width, 1 / std::sqrt(static_cast<float>(width)), of.cap,
                      part(qkv.data(), 0), part(qkv.data(), of.heads), part(qkv.data(), of.heads + of.kvHeads), {}, bias.data(), false};
  if (turned > 0) attention.rotation = {cos.data(), sin.data(), turned, of.seq * turned};
  Floats y(dy.size()), stats(2 * rows * of.heads), dqkv(qkv.size());
  attend(attention, mixed(y.data()), stats.data());
  attentionGradient({attention, mixed(const_cast<const float*>(y.data())), mixed(dy.data()), stats.data(), part(dqkv.data(), 0),
                     part(dqkv.data(), of.heads), part(dqkv.data(), of.heads + of.kvHeads)});
  Doubles ey(y.size()), edqkv(dqkv.size());
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t head = 0; head < all; head++) {
      const bool isQuery = head < of.heads, isValue = head >= of.heads + of.kvHeads;
      const int64_t heads = isQuery ? of.heads : of.kvHeads, own = isQuery ? head : (head - of.heads) % of.kvHeads;
      const int64_t at = ((row / of.seq * heads + own) * of.seq + row % of.seq) * width;
      const Doubles& slopes = isQuery ? expected.dquery : isValue ? expected.dvalue : expected.dkey;
      for (int64_t i = 0; i < width; i++) {
        edqkv[(row * all + head) * width + i] = isValue ? slopes[at + i] : turnBack(&slopes[at], row, i);
        if (isQuery) ey[(row * of.heads + head) * width + i] = expected.y[at + i];
      }
    }
  }
  check("self-attention", y, ey, expected.largest / 4);
  check("self-attention, slope", dqkv, edqkv, expected.largest / 4);
}

void testAdamW(float clipNorm, float loss) {
  const std::vector<int64_t> sizes{3, 1000, 70000};
  const AdamW adam{0.1f, 0.01f, 1e-6f, clipNorm};
  std::vector<Floats> gradients, values, firsts, seconds;
  std::vector<Updated> parameters;
  double total = 0;
  for (size_t i = 0; i < sizes.size(); i++) {
    gradients.push_back(normal(sizes[i]));
    values.push_back(normal(sizes[i]));
    firsts.push_back(normal(sizes[i], 0.1f));
    seconds.push_back(normal(sizes[i]));
    for (float& value : seconds[i]) value *= value;
    for (const float g : gradients[i]) total += static_cast<double>(g) * g;
  }
  const std::vector<Floats> before = values;
  std::vector<Doubles> expected;
  const double norm = std::sqrt(total), scale = clipNorm > 0 && norm > clipNorm ? clipNorm / (norm + 1e-6) : 1;
  for (size_t i = 0; i < sizes.size(); i++) {
    const float rate = 0.01f * (i + 1), decay = i == 1 ? 0.1f : 0;
    expected.emplace_back(sizes[i]);
    for (int64_t j = 0; j < sizes[i]; j++) {
      const double g = gradients[i][j] * scale;
      const double m = 0.9 * firsts[i][j] + 0.1 * g, v = 0.99 * seconds[i][j] + 0.01 * g * g;
      expected[i][j] = values[i][j] * (1 - static_cast<double>(decay)) - rate * m / (std::sqrt(v) + 1e-6);
      if (!std::isfinite(loss)) expected[i][j] = before[i][j];
    }
    parameters.push_back({sizes[i], gradients[i].data(), values[i].data(), firsts[i].data(), seconds[i].data(), rate, decay});
  }
  const float found = applyAdamW(adam, parameters, loss);
  check("AdamW, norm", {found}, {norm});
  for (size_t i = 0; i < sizes.size(); i++) check("AdamW, values", values[i], expected[i]);
}

} // namespace

int main() {
  testExponential();
  for (const int64_t width : {3, 7, 64, 100, 576}) {
    for (const bool hasBias : {true, false}) testNorm(150, width, hasBias);
    for (const Activation kind : {GELU, SWIGLU, GEGLU}) testActivation(kind, 90, width);
    testCrossEntropy(70, width + 4);
  }
  testAttention({2, 4, 4, 100, 100, 32, 1000, 0, 0});  // causal
  testAttention({3, 4, 2, 61, 61, 20, 17, 0, 0});      // packed segments, shared keys, odd sizes
  testAttention({1, 6, 1, 130, 130, 64, 1000, 9, 30}); // a window, a cap, one head of keys
  testAttention({5, 3, 3, 1, 77, 16, 1000, 0, 0});     // one new token
  testAttention({2, 2, 1, 5, 90, 24, 1000, 40, 0});    // some new tokens
  testSelfAttention({2, 4, 4, 100, 100, 32, 1000, 0, 0}, 0);
  testSelfAttention({3, 4, 2, 61, 61, 20, 17, 0, 0}, 20);     // all of a head turns
  testSelfAttention({2, 6, 1, 130, 130, 64, 1000, 9, 30}, 16); // a part of it does
  testLinearLayer({1, 1, 1, NO_ACTIVATION, false, false, false});
  testLinearLayer({130, 20, 30, NO_ACTIVATION, true, true, false});
  testLinearLayer({300, 70, 33, NO_ACTIVATION, false, false, true});   // tied heads
  testLinearLayer({41, 900, 7, NO_ACTIVATION, true, false, false});    // k in parts
  testLinearLayer({3, 5, 11000, NO_ACTIVATION, false, false, true}); // packed in pieces
  testLinearLayer({3, 5, 11000, NO_ACTIVATION, true, true, false});
  testLinearLayer({1000, 48, 100, GELU, true, false, false});
  testLinearLayer({100, 64, 2 * 37, SWIGLU, false, true, false});      // halves that no panel fits
  testLinearLayer({500, 50, 2 * 64, GEGLU, true, true, false});
  testLinearLayer({130, 70, 33, NO_ACTIVATION, false, true, false, 4, {0, 33}});            // all columns change
  testLinearLayer({90, 40, 3 * 40, NO_ACTIVATION, true, false, false, 8, {0, 40, 80, 120}}); // queries and values
  testLinearLayer({70, 33, 2 * 37, SWIGLU, false, false, false, 3, {0, 37, 37, 74}});        // halves
  testAdamW(0, 1);
  testAdamW(2, 1);
  testAdamW(2, NAN); // nothing changes
  testDecoders();
  printf("%d checks, %d failed; largest difference %.1e of the largest value; vectors of %d, %d threads\n", checks, failures, worst,
         LANES, pool().size());
  return failures > 0 ? 1 : 0;
}
