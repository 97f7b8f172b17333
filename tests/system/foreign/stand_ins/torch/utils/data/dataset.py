from torch.utils.data import IterableDataset as IterableDataset
