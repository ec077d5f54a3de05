"""A pole on a cart, balanced in three ways: a policy gradient, one model as actor and critic, and action values (DQN).

Run ``python docs/examples/cartpole.py``; it fails if a mean return is below the claim.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastbp

CLAIM = 195
LIMIT, DISCOUNT, TESTS = 200, 0.99, 100  # steps of an episode; episodes that judge a net
EPISODES, POLICY_LR, POLICY_STEPS = 8, 0.01, 150_000  # episodes between two updates of the policy, steps at most
VALUE_FACTOR = 0.002  # of the loss of values, whose errors are tens, beside that of the policy
CARTS, SPAN, CRITIC_LR, CRITIC_STEPS = 16, 64, 0.01, 150_000  # carts side by side, steps of each between two updates
BATCH, MEMORY, VALUE_LR, VALUE_STEPS = 64, 20_000, 0.001, 60_000
EXPLORING, LEAST, COPIED = 5_000, 0.05, 250  # steps until so few actions are random; between two copies of the net
LOOK, LOOKS = 1_000, 20  # after so many steps the net of values plays so many episodes


class CartPole:
    """The cart of Barto, Sutton & Anderson 1983, IEEE Trans. Systems, Man, and Cybernetics 13 (5), without friction.

    A cart of 1 kg on a track carries a pole of 0.1 kg and 1 m, and is pushed with 10 N to the left (0) or right (1)
    every 0.02 s. The pole has fallen where it is 12 degrees, or the cart 2.4 m, away from the middle.
    """

    def __init__(self, rng):
        self.rng = rng

    def reset(self):
        """Return a first state: position and velocity of the cart, angle and angular velocity of the pole."""
        self.state = self.rng.uniform(-0.05, 0.05, 4).tolist()
        return self.state

    def step(self, action):
        """Push; return the next state, and whether the pole fell."""
        gravity, cart, pole, half, force, seconds = 9.8, 1.0, 0.1, 0.5, 10.0 if action else -10.0, 0.02
        x, v, angle, turn = self.state
        sin, cos = math.sin(angle), math.cos(angle)
        push = (force + pole * half * turn * turn * sin) / (cart + pole)
        bend = (gravity * sin - cos * push) / (half * (4 / 3 - pole * cos * cos / (cart + pole)))
        speed = push - pole * half * bend * cos / (cart + pole)
        self.state = [x + seconds * v, v + seconds * speed, angle + seconds * turn, turn + seconds * bend]
        return self.state, abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.pi / 15


def episode(cart, act):
    """Play; return the states, the actions, and whether the pole fell before the limit."""
    states, actions, state, fell = [], [], cart.reset(), False
    while len(states) < LIMIT and not fell:
        states.append(state)
        actions.append(act(state))
        state, fell = cart.step(actions[-1])
    return states, actions, fell


def greedy(model):
    """Return the function that does what the larger output says."""

    def act(state):
        left, right = model.predict([state])[0]
        return int(right > left)

    return act


def mean_return(model, seed, episodes):
    """Return how long the pole stands, on average, if the larger output decides."""
    cart = CartPole(np.random.default_rng(seed))
    return np.mean([len(episode(cart, greedy(model))[0]) for _ in range(episodes)])


def net(*widths, **compiled):
    """Return a compiled net of four inputs; without a loss it is trained by gradients of its output."""
    layers = [fastbp.Dense(n, activation="tanh") for n in widths[:-1]] + [fastbp.Dense(widths[-1])]
    model = fastbp.Sequential(layers, input_shape=4, seed=compiled.pop("seed"))
    model.compile(numerics="portable", **compiled)
    return model


class Reinforce:
    """The policy gradient of Williams 1992, Machine Learning 8, with the value of the state as the baseline."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.policy = net(32, 2, optimizer=fastbp.optimizers.Adam(lr=POLICY_LR), seed=seed)
        self.values = net(32, 1, optimizer=fastbp.optimizers.Adam(lr=POLICY_LR), loss="mse", seed=seed + 1)

    def act(self, state):
        """Draw an action from the softmax of the two outputs."""
        left, right = self.policy.predict([state])[0].tolist()
        return int(self.rng.random() * (1 + math.exp(left - right)) < 1)

    def learn(self, states, actions, returns):
        """Raise the probability of actions that brought more than the states were worth."""
        states, returns = np.array(states, "f4"), np.array(returns, "f4")[:, None]
        advantages = returns - self.values.predict(states)
        advantages /= advantages.std() + 1e-6
        logits = self.policy.forward(states)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        # the gradient of mean(-advantage * log(p of the action)) by the logits
        self.policy.backward(advantages * (p - np.eye(2, dtype="f4")[actions]) / len(states))
        self.policy.update()
        self.values.train_on_batch(states, returns)


def discounted(n, after):
    """Return what each of n steps brings from there on, where each brings 1 and what follows is worth `after`."""
    returns = [after]
    for _ in range(n):
        returns.append(1 + DISCOUNT * returns[-1])
    return returns[:0:-1]


def train_policy(agent, cart):
    """Train until episodes last as long as they may; return their lengths."""
    lengths = []
    while sum(lengths) < POLICY_STEPS and np.mean(lengths[-2 * EPISODES :] or 0) < CLAIM:
        states, actions, returns = [], [], []
        for _ in range(EPISODES):
            seen, done, fell = episode(cart, agent.act)
            # a pole that stands at the end would have gone on
            after = 0 if fell else float(agent.values.predict([cart.state])[0, 0])
            states, actions, returns = states + seen, actions + done, returns + discounted(len(seen), after)
            lengths.append(len(seen))
        agent.learn(states, actions, returns)
    return lengths


class ActorCritic:
    """The advantage actor-critic of Mnih et al. 2016, ICML: one model says what to do and what the state is worth.

    It moves many carts at a time. What a step brings is counted to the end of a span, and from there on estimated.
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        x = fastbp.Input(4)
        h = fastbp.Dense(64, activation="tanh")(x)
        outputs = {"policy": fastbp.Dense(2)(h), "value": fastbp.Dense(1)(h)}
        self.model = fastbp.Model(x, outputs, seed=seed)
        self.model.compile(fastbp.optimizers.Adam(lr=CRITIC_LR), numerics="portable")
        # models of the same layers, with the same weights, for who asks for one output alone
        self.policy, self.critic = (fastbp.Model(x, output) for output in outputs.values())
        for part in (self.policy, self.critic):
            part.compile(numerics="portable")

    def logits(self, states):
        """Return the outputs for both actions."""
        return self.policy.predict(states)

    def worth(self, states):
        """Return what states are worth."""
        return self.critic.predict(states)

    def act(self, states):
        """Draw an action for each state."""
        logits = self.logits(states)
        return (self.rng.random(len(states)) * (1 + np.exp(logits[:, 0] - logits[:, 1])) < 1).astype(int)

    def play(self, carts, ages, lengths):
        """Move each cart a few steps; return states, actions and returns, and note how long episodes were."""
        states, following = np.empty((2, SPAN, len(carts), 4), "f4")
        actions, (fell, ends) = np.empty((SPAN, len(carts)), int), np.zeros((2, SPAN, len(carts)), bool)
        for t in range(SPAN):
            states[t] = [cart.state for cart in carts]
            actions[t] = self.act(states[t])
            moved = [cart.step(action) for cart, action in zip(carts, actions[t].tolist(), strict=True)]
            following[t], fell[t] = zip(*moved, strict=True)
            ages += 1
            ends[t] = fell[t] | (ages == LIMIT)
            for k in np.flatnonzero(ends[t]):
                lengths.append(int(ages[k]))
                carts[k].reset()
            ages[ends[t]] = 0
        ends[-1] = True
        worth = self.worth(following.reshape(-1, 4)).reshape(fell.shape) * ~fell
        returns, after = np.empty(fell.shape, "f4"), worth[-1]
        for t in range(SPAN - 1, -1, -1):
            returns[t] = after = 1 + DISCOUNT * np.where(ends[t], worth[t], after)
        return states.reshape(-1, 4), actions.ravel(), returns.reshape(-1, 1)

    def learn(self, states, actions, returns):
        """Raise the probability of actions that brought more than was expected, and expect better."""
        outputs = self.model.forward(states)
        surprise = returns - outputs["value"]
        advantages = (surprise - surprise.mean()) / (surprise.std() + 1e-6)
        p = np.exp(outputs["policy"] - outputs["policy"].max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        policy = advantages * (p - np.eye(2, dtype="f4")[actions]) / len(states)
        self.model.backward({"policy": policy, "value": -VALUE_FACTOR * surprise / len(states)})
        self.model.update()


def train_both(agent, cart):
    """Train until episodes last as long as they may; return their lengths."""
    carts, lengths, steps = [cart, *(CartPole(rng) for rng in cart.rng.spawn(CARTS - 1))], [], 0
    ages = np.zeros(CARTS, int)  # steps since each was put upright
    for one in carts:
        one.reset()
    while steps < CRITIC_STEPS and np.mean(lengths[-2 * CARTS :] or 0) < CLAIM:
        agent.learn(*agent.play(carts, ages, lengths))
        steps += SPAN * CARTS
    return lengths


class Values:
    """Deep Q-learning, Mnih et al. 2015, Nature 518: a net of values, a memory of steps, a copy that sets targets."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.model = net(64, 64, 2, optimizer=fastbp.optimizers.Adam(lr=VALUE_LR), seed=seed)
        self.target = self.model.clone()
        self.states, self.next = np.empty((MEMORY, 4), "f4"), np.empty((MEMORY, 4), "f4")
        self.actions, self.goes_on, self.n = np.empty(MEMORY, int), np.empty(MEMORY, "f4"), 0

    def act(self, state):
        """Do what is worth most, or now and then anything."""
        left, right = self.model.predict([state])[0].tolist()
        if self.rng.random() < max(LEAST, 1 - self.n / EXPLORING):
            return int(self.rng.random() < 0.5)
        return int(right > left)

    def remember(self, state, action, following, fell):
        """Keep a step in place of the oldest."""
        k = self.n % MEMORY
        self.states[k], self.actions[k], self.next[k], self.goes_on[k] = state, action, following, not fell
        self.n += 1

    def learn(self):
        """Move the values of a few remembered actions to their targets: Huber's loss, whose slope ends at 1."""
        some = self.rng.integers(min(self.n, MEMORY), size=BATCH)
        targets = 1 + DISCOUNT * self.goes_on[some] * self.target.predict(self.next[some]).max(axis=1)
        values, chosen = self.model.forward(self.states[some]), (np.arange(BATCH), self.actions[some])
        dy = np.zeros_like(values)
        dy[chosen] = np.clip(values[chosen] - targets, -1, 1) / BATCH
        self.model.backward(dy)
        self.model.update()
        if self.n % COPIED == 0:
            self.target.copy_weights_from(self.model)


def train_values(agent, cart):
    """Train until the net plays well without random actions; return the lengths of episodes."""
    lengths, length, state = [], 0, cart.reset()
    while agent.n < VALUE_STEPS:
        action = agent.act(state)
        following, fell = cart.step(action)
        agent.remember(state, action, following, fell)
        length += 1
        if fell or length == LIMIT:
            lengths, length, following = [*lengths, length], 0, cart.reset()
        state = following
        if agent.n > LOOK:
            agent.learn()
            if agent.n % LOOK == 0 and mean_return(agent.model, agent.n, LOOKS) == LIMIT:
                break
    return lengths


METHODS = {
    "policy gradient": (Reinforce, train_policy),
    "actor-critic": (ActorCritic, train_both),
    "deep Q-learning": (Values, train_values),
}


def smooth(lengths):
    """Return the mean of up to the last twenty of each."""
    return [np.mean(lengths[max(0, k - 19) : k + 1]) for k in range(len(lengths))]


def draw(path, curves, policy):
    """Draw how long the pole stood in the episodes of each training, and what the first policy does at the middle."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, (method, runs) in enumerate(curves.items()):
        for lengths in runs:
            label = method if lengths is runs[0] else None
            left.plot(np.cumsum(lengths) / 1000, smooth(lengths), f"C{k}", lw=1, alpha=0.7, label=label)
    left.axhline(CLAIM, color="0.6", lw=0.8)
    left.set(xlabel="thousand steps", ylabel="steps that the pole stands", title="Training, mean of 20 episodes")
    left.legend(frameon=False)
    angle, turn = np.meshgrid(np.linspace(-12, 12, 61), np.linspace(-120, 120, 61))
    states = np.zeros((angle.size, 4))
    states[:, 2], states[:, 3] = np.radians(angle.ravel()), np.radians(turn.ravel())
    logits = policy.predict(states)
    p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    mesh = right.pcolormesh(angle, turn, p.reshape(angle.shape), cmap="coolwarm", vmin=0, vmax=1)
    figure.colorbar(mesh, label="probability of a push to the right")
    right.set(xlabel="angle, degrees", ylabel="degrees per second", title="A policy, cart at rest in the middle")
    figure.savefig(path)


def main(arguments=None):
    """Train, judge and draw; return the mean returns by method, for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of weights, episodes and actions")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")
    print(f"steps that the pole stands, of {LIMIT}, mean of {TESTS} episodes; seeds: {options.seeds}")
    print(f"{'method':15}  {'mean':>5}  {'worst':>5}  {'steps to learn':>14}  {'seconds':>7}")
    found, curves, policies = {}, {}, []
    for method, (kind, train) in METHODS.items():
        agents, seconds = [kind(10 * seed) for seed in range(options.seeds)], 0.0
        curves[method] = []
        for seed, agent in enumerate(agents):
            began = time.perf_counter()
            curves[method].append(train(agent, CartPole(np.random.default_rng(seed))))
            seconds += time.perf_counter() - began
        models = [agent.model if kind is Values else agent.policy for agent in agents]
        policies += models
        found[method] = np.array([mean_return(model, 1000 + seed, TESTS) for seed, model in enumerate(models)])
        steps = np.mean([sum(lengths) for lengths in curves[method]])
        print(
            f"{method:15}  {found[method].mean():5.1f}  {found[method].min():5.1f}  {steps:14,.0f}  "
            f"{seconds / len(agents):7.1f}"
        )
    draw(options.picture, curves, policies[0])
    print(f"wrote {options.picture}")
    if low := [method for method, returns in found.items() if returns.mean() < CLAIM]:
        sys.exit(f"the mean of {', '.join(low)} is below {CLAIM}")
    return found


if __name__ == "__main__":
    main()
