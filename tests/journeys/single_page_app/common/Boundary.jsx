import { Component } from "react";

/** Shows the reason in the place of a part of the page that cannot be shown. */
export class Boundary extends Component {
  state = { error: null };

  static getDerivedStateFromError(error) {
    return { error };
  }

  render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <main>
        <p role="alert">{error.message}</p>
      </main>
    );
  }
}
