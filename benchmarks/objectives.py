"""Objectives of one's own beside PyTorch and NumPy: ``python -m benchmarks.objectives``.

A step of the cart-pole of `docs/examples/cartpole.py` (act, move, learn) by each of its methods, gradients by inputs
and the gradients of each row, in one process and in turns, after the results were compared. Prints the microseconds of
a median turn and the ratio to fastbp's in portable numerics. PyTorch's sides are left out where it is not installed.
"""

import argparse
import importlib.util
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastbp
from fastbp._show_versions import versions

from .common import alternate
from .peers.report import number, table

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "cartpole.py"
WIDTHS, ROWS, STEPS, EPISODE = (64, 128, 10), 256, 50, 400
HAS_TORCH = find_spec("torch") is not None


def example():
    """Import the example, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("cartpole", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torch_net(layers, activation):
    """Return a PyTorch net with the weights of Dense layers."""
    import torch

    parts = []
    for layer in layers:
        linear = torch.nn.Linear(*layer.w.shape)
        linear.weight.data, linear.bias.data = torch.tensor(layer.w.T.copy()), torch.tensor(layer.b)
        parts += [linear, activation()]
    return torch.nn.Sequential(*parts[:-1])


def policies(cartpole):
    """Return the agents of the policy gradient, and what runs some of their steps."""

    class Torch(cartpole.Reinforce):
        def __init__(self, seed):
            import torch

            super().__init__(seed)
            nets = [torch_net(model.layers, torch.nn.Tanh) for model in (self.policy, self.values)]
            self.torch, (self.net, self.baseline) = torch, nets
            self.optimizers = [torch.optim.Adam(n.parameters(), lr=cartpole.POLICY_LR, fused=True) for n in nets]

        def act(self, state):
            with self.torch.no_grad():
                left, right = self.net(self.torch.tensor([state]))[0].tolist()
            return int(self.rng.random() * (1 + np.exp(left - right)) < 1)

        def learn(self, states, actions, returns):
            torch = self.torch
            states, actions = torch.tensor(states), torch.tensor(actions)
            returns = torch.tensor(returns)[:, None]
            with torch.no_grad():
                advantages = returns - self.baseline(states)
                advantages /= advantages.std(correction=0) + 1e-6
            chosen = torch.log_softmax(self.net(states), 1).gather(1, actions[:, None])
            losses = -(advantages * chosen).mean(), torch.nn.functional.mse_loss(self.baseline(states), returns)
            for loss, optimizer in zip(losses, self.optimizers, strict=True):
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        def outputs(self, states):
            return self.net(self.torch.tensor(states)).detach().numpy()

    class Own(cartpole.Reinforce):
        def outputs(self, states):
            return self.policy.predict(states)

    def run(agent, cart):
        states, actions, state = [], [], cart.reset()
        for _ in range(EPISODE):
            states.append(state)
            actions.append(agent.act(state))
            state, fell = cart.step(actions[-1])
            if fell:
                state = cart.reset()
        agent.learn(states, actions, cartpole.discounted(EPISODE, 0.0))

    return {"fastbp": Own, "torch": Torch}, run, EPISODE


def values(cartpole):
    """Return the agents of deep Q-learning, and what runs some of their steps."""

    class Torch(cartpole.Values):
        def __init__(self, seed):
            import torch

            super().__init__(seed)
            self.torch = torch
            self.net, self.copy = (torch_net(model.layers, torch.nn.Tanh) for model in (self.model, self.target))
            self.optimizer = torch.optim.Adam(self.net.parameters(), lr=cartpole.VALUE_LR, fused=True)

        def act(self, state):
            with self.torch.no_grad():
                left, right = self.net(self.torch.tensor([state]))[0].tolist()
            if self.rng.random() < max(cartpole.LEAST, 1 - self.n / cartpole.EXPLORING):
                return int(self.rng.random() < 0.5)
            return int(right > left)

        def learn(self):
            torch = self.torch
            some = self.rng.integers(min(self.n, cartpole.MEMORY), size=cartpole.BATCH)
            with torch.no_grad():
                worth = self.copy(torch.from_numpy(self.next[some])).max(1).values
                targets = 1 + cartpole.DISCOUNT * torch.from_numpy(self.goes_on[some]) * worth
            found = self.net(torch.from_numpy(self.states[some]))
            chosen = found.gather(1, torch.from_numpy(self.actions[some])[:, None])[:, 0]
            loss = torch.nn.functional.smooth_l1_loss(chosen, targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.n % cartpole.COPIED == 0:
                self.copy.load_state_dict(self.net.state_dict())

        def outputs(self, states):
            return self.net(self.torch.tensor(states)).detach().numpy()

    class Own(cartpole.Values):
        def outputs(self, states):
            return self.model.predict(states)

    def run(agent, cart):
        state = cart.reset()
        for _ in range(STEPS):
            action = agent.act(state)
            following, fell = cart.step(action)
            agent.remember(state, action, following, fell)
            state = cart.reset() if fell else following
            agent.learn()

    return {"fastbp": Own, "torch": Torch}, run, STEPS


def critics(cartpole):
    """Return the agents of the actor-critic, and what runs some of their steps."""

    class Torch(cartpole.ActorCritic):
        def __init__(self, seed):
            import torch

            super().__init__(seed)
            self.torch = torch
            self.body, self.heads = (
                torch_net(layers, torch.nn.Tanh) for layers in (self.model.layers[:1], self.model.layers[1:])
            )
            parameters = [*self.body.parameters(), *self.heads.parameters()]
            self.optimizer = torch.optim.Adam(parameters, lr=cartpole.CRITIC_LR, fused=True)

        def hidden(self, states):
            return self.torch.tanh(self.body(self.torch.from_numpy(states)))

        def logits(self, states):
            with self.torch.no_grad():
                return self.heads[0](self.hidden(states)).numpy()

        def worth(self, states):
            with self.torch.no_grad():
                return self.heads[-1](self.hidden(states)).numpy()

        def outputs(self, states):
            return self.logits(states), self.worth(states)

        def learn(self, states, actions, returns):
            torch = self.torch
            h = self.hidden(states)
            policy, value = self.heads[0](h), self.heads[-1](h)
            surprise = torch.from_numpy(returns) - value
            advantages = surprise.detach()
            advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-6)
            chosen = torch.log_softmax(policy, 1).gather(1, torch.from_numpy(actions)[:, None])
            loss = -(advantages * chosen).mean() + cartpole.VALUE_FACTOR * (surprise**2).mean() / 2
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    class Own(cartpole.ActorCritic):
        def outputs(self, states):
            return self.logits(states), self.worth(states)

    def run(agent, cart):
        carts = [cart, *(cartpole.CartPole(np.random.default_rng(k)) for k in range(1, cartpole.CARTS))]
        for one in carts:
            one.reset()
        agent.learn(*agent.play(carts, np.zeros(len(carts), int), []))

    return {"fastbp": Own, "torch": Torch}, run, cartpole.CARTS * cartpole.SPAN


def played(cartpole, task):
    """Return the jobs of a task of the example, compared, and how many steps each makes."""
    kinds, run, steps = task(cartpole)
    jobs, outputs = {}, []
    for name, kind in kinds.items():
        if name == "torch" and not HAS_TORCH:
            continue
        agent, cart = kind(0), cartpole.CartPole(np.random.default_rng(0))
        run(agent, cart)
        outputs.append(agent.outputs(np.float32([[0.1, 0.2, -0.1, 0.3], [0, 0, 0, 0]])))
        jobs[name] = lambda agent=agent, cart=cart: run(agent, cart)
    for other in outputs[1:]:
        # the same actions, the same updates
        for one, wanted in zip(other, outputs[0], strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-3, atol=1e-4)
    return jobs, steps


def plain(model, x, labels):
    """Return NumPy's functions for dLoss/dx of the mean, and for the gradients of each row by all parameters."""
    (w1, b1), (w2, b2) = ((layer.w.copy(), layer.b.copy()) for layer in model.layers)
    rows = np.arange(len(x))

    def pull(n):
        h = np.maximum(x @ w1 + b1, 0)
        z = h @ w2 + b2
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[rows, labels] -= 1
        p /= n
        return h, p, p @ w2.T * (h > 0)

    def each():
        h, dz, dh = pull(np.float32(1))
        parts = x[:, :, None] * dh[:, None], dh, h[:, :, None] * dz[:, None], dz
        return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=1)

    return lambda: pull(np.float32(len(x)))[2] @ w1.T, each


def torch_gradients(model, x, labels):
    """Return PyTorch's functions for the same: of the inputs, of each row in a loop, and by vmap."""
    import torch

    net, entropy = torch_net(model.layers, torch.nn.ReLU), torch.nn.functional.cross_entropy
    names, parameters = zip(*net.named_parameters(), strict=True)
    inputs, targets = torch.tensor(x), torch.tensor(labels)

    def by_inputs():
        leaf = inputs.detach().requires_grad_()
        return torch.autograd.grad(entropy(net(leaf), targets), leaf)[0].numpy()

    def flat(gradients, n):
        # weights are (units, inputs) there
        return torch.cat([(g.mT if g.ndim > n else g).flatten(n - 1) for g in gradients], dim=n - 1)

    def loop():
        found = []
        for k in range(len(x)):
            loss = entropy(net(inputs[k : k + 1]), targets[k : k + 1])
            found.append(flat(torch.autograd.grad(loss, parameters), 1))
        return torch.stack(found).numpy()

    def loss_of(arrays, row, target):
        return entropy(torch.func.functional_call(net, arrays, (row[None],)), target[None])

    mapped = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))
    arrays = {name: p.detach() for name, p in zip(names, parameters, strict=True)}

    def vmap():
        found = mapped(arrays, inputs, targets)
        return flat([found[name] for name in names], 2).numpy()

    return by_inputs, loop, vmap


def gradients():
    """Return the jobs for gradients by inputs and of each row, compared."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(ROWS, WIDTHS[0])).astype("f4"), rng.integers(WIDTHS[-1], size=ROWS)
    by_inputs, by_rows = {}, {}
    for name in ("fastbp", "fastbp, numpy"):
        layers = [fastbp.Dense(WIDTHS[1], activation="relu"), fastbp.Dense(WIDTHS[2])]
        model = fastbp.Sequential(layers, input_shape=WIDTHS[0], seed=0)
        loss = fastbp.losses.SparseCategoricalCrossEntropy(from_logits=True)
        model.compile("sgd", loss, numerics="numpy" if name.endswith("numpy") else "portable")
        by_inputs[name] = lambda model=model: model.input_gradient(x, labels)
        by_rows[name] = lambda model=model: model.row_gradients(x, labels)
    by_inputs["numpy"], by_rows["numpy"] = plain(model, x, labels)
    if HAS_TORCH:
        by_inputs["torch"], by_rows["torch, loop"], by_rows["torch, vmap"] = torch_gradients(model, x, labels)
    for jobs in (by_inputs, by_rows):
        wanted = jobs["fastbp"]()
        for job in jobs.values():
            np.testing.assert_allclose(job(), wanted, rtol=1e-3, atol=1e-6)
    return by_inputs, by_rows


def main(arguments=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objectives", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31, help="turns of each side")
    options = parser.parse_args(arguments)
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)
    cartpole, net = example(), "-".join(map(str, WIDTHS))
    by_inputs, by_rows = gradients()
    tasks = {
        "policy gradient, a step of the cart-pole": played(cartpole, policies),
        "actor-critic, a step of the cart-pole": played(cartpole, critics),
        "deep Q-learning, a step of the cart-pole": played(cartpole, values),
        f"input_gradient, {net}, {ROWS} rows": (by_inputs, 1),
        f"row_gradients, {net}, of {ROWS} rows a row": (by_rows, ROWS),
    }
    rows = []
    for task, (jobs, parts) in tasks.items():
        seconds = alternate(jobs, options.rounds)
        own = seconds["fastbp"]
        for name, times in seconds.items():
            ratio = np.median(times / own)
            rows.append((task, name, number(1e6 * np.median(times) / parts), f"{ratio:.2f}"))
    print("\n".join(table(("what", "who", "us", "over fastbp"), rows)))
    print()
    torch_version = f", torch {version('torch')}" if HAS_TORCH else ""
    found = versions()
    print(f"one thread of {found['cpu']}; Python {found['python']}, NumPy {found['numpy']}{torch_version}")


if __name__ == "__main__":
    main()
